// The two containers torch.save has written: where the object's pickle is, and where each storage's bytes are.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>

#include "checkpoint/file_bytes.h"
#include "checkpoint/pickle.h"
#include "runtime/error.h"

namespace cornernet {

/// Told of each part of a file before it is looked at; nothing for one that lies in memory.
using Demand = std::function<void(Bytes)>;

/// Bytes of a file's pickles at most: those of a training-time HourglassNet-104 have 3 MB.
inline constexpr size_t kMostPickle = size_t{256} << 20;

/// A storage's bytes.
struct StoredBytes {
  Bytes bytes;
  std::optional<uint32_t> crc32;  // that the file states for them
};

/// A checkpoint file taken apart. Spans point into the file, pickled values into `unpickler`.
struct Container {
  const pickle::Value* root = nullptr;
  /// By storage key; each is as long as its record.
  std::unordered_map<std::string, StoredBytes> storages;
};

/// Of a container, which says what wrote it.
inline void require_little_endian(bool is) {
  if (!is) refuse_checkpoint("the checkpoint was written on a big-endian machine, which is not supported");
}

bool is_zip(Bytes file, const Demand& demand = {});
/// torch >= 1.6: an uncompressed zip archive with one record a storage.
Container open_zip(Bytes file, pickle::Unpickler& unpickler, const Demand& demand = {});
/// Before: pickles one after the other, then the storages.
Container open_legacy(Bytes file, pickle::Unpickler& unpickler, const Demand& demand = {});

}  // namespace cornernet
