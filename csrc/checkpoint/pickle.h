// Python's pickle as data: an unpickler of the few opcodes that checkpoints use, which builds values and never calls anything.
#pragma once
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace cornernet::pickle {

/// What a persistent id names: elements kept elsewhere in the file.
struct StorageRef {
  c10::ScalarType dtype;
  std::string_view key;
  int64_t numel;
};

struct Value;

/// A tensor over a storage; bounds against the storage are checked.
struct TensorRef {
  const Value* storage;
  int64_t offset;
  std::vector<int64_t> sizes, strides;
};

enum class Kind { None, Bool, Int, BigInt, Float, String, Tuple, List, Dict, Global, Storage, Tensor, Opaque };

/// Values live in the Unpickler that made them; strings are views of the pickle's own bytes.
struct Value {
  Kind kind = Kind::None;
  int64_t integer = 0;        // Bool, Int
  double real = 0;            // Float
  std::string_view text;      // String; BigInt (little-endian two's complement); Global, Opaque: the name after the module
  std::string_view module;    // Global, Opaque
  std::vector<Value*> items;  // Tuple, List; Dict: key, value, key, value, ...
  StorageRef storage{};
  TensorRef tensor{};

  /// The last value under a string key of a Dict; null when absent.
  const Value* find(std::string_view key) const;
  /// "module.name" of a Global or of what an Opaque was made by; the beginning of a long one.
  std::string qualified_name() const;
};

class Unpickler {
 public:
  /// `origin` names the stream in errors. A larger file may hold more values.
  explicit Unpickler(std::string origin, size_t file_size = 0) : origin_(std::move(origin)), most_values_(most_values(file_size)) {}

  /// Reads one pickle off the front of `bytes` and returns its value; `demand` is told of bytes before they are looked at. Throws Error(Checkpoint).
  const Value& load(std::span<const uint8_t>& bytes, const std::function<void(std::span<const uint8_t>)>& demand = {});
  /// Every value made so far, whether anything refers to it or not.
  const std::deque<Value>& values() const { return values_; }

 private:
  class Run;
  Value* make(Kind kind);
  /// A value takes 176 bytes and as little as one of the file's, with what refers to it (the stack, marks, the memo, containers) some 300: 45 MB, and
  /// of a large file a seventh. A training-time HourglassNet-104 with its optimizer's state has 200,000 in 2 GB.
  static constexpr size_t most_values(size_t file_size) { return 150'000 + file_size / 2048; }

  std::string origin_;
  size_t most_values_;
  std::deque<Value> values_;
  size_t references_ = 0;  // that containers hold
};

}  // namespace cornernet::pickle
