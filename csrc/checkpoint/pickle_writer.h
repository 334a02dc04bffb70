// Writes Python's pickle, protocol 2, of what checkpoints hold: plain values, containers and tensors.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cornernet::pickle {

/// Values are written as they come; a dictionary's are its keys and values in turn, between begin_dict() and end_dict().
class Writer {
 public:
  Writer();

  void none() { op('N'); }
  void boolean(bool value) { op(value ? 0x88 : 0x89); }
  void integer(int64_t value);
  void real(double value);
  void text(std::string_view value);
  void begin_dict() { op('}'), op('('); }
  /// A collections.OrderedDict.
  void begin_ordered_dict();
  void end_dict() { op('u'); }
  void begin_list() { op(']'), op('('); }
  void end_list() { op('e'); }
  void begin_tuple() { op('('); }
  void end_tuple() { op('t'); }
  /// Of a type that checkpoints have; its elements are to be written, as contiguous() has them, as the storage of the returned key.
  std::string tensor(const at::Tensor& tensor);

  // A dictionary's entries.
  void entry(std::string_view key) { text(key); }
  void entry(std::string_view key, std::string_view value) { text(key), text(value); }
  void entry(std::string_view key, const char* value) { text(key), text(value); }
  void entry(std::string_view key, double value) { text(key), real(value); }
  void entry(std::string_view key, int64_t value) { text(key), integer(value); }
  void entry(std::string_view key, bool value) { text(key), boolean(value); }

  /// The whole pickle. Nothing may be written after it.
  std::string finish();

 private:
  void op(uint8_t byte) { bytes_.push_back(static_cast<char>(byte)); }
  template <typename T>
  void little(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void global(std::string_view module, std::string_view name);
  void empty_ordered_dict();

  std::string bytes_;
  int64_t storages_ = 0;
};

}  // namespace cornernet::pickle
