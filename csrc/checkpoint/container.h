// The two containers torch.save has written: where the object's pickle is, and where each storage's bytes are.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>

#include "checkpoint/pickle.h"

namespace cornernet {

using Bytes = std::span<const uint8_t>;

/// A checkpoint file taken apart. Spans point into the file, pickled values into `unpickler`.
struct Container {
  const pickle::Value* root = nullptr;
  /// By storage key; each is as long as its record.
  std::unordered_map<std::string, Bytes> storages;
};

bool is_zip(Bytes file);
/// torch >= 1.6: an uncompressed zip archive with one record a storage.
Container open_zip(Bytes file, pickle::Unpickler& unpickler);
/// Before: pickles one after the other, then the storages.
Container open_legacy(Bytes file, pickle::Unpickler& unpickler);

}  // namespace cornernet
