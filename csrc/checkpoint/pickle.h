// Python's pickle as data: an unpickler of the few opcodes that checkpoints use, which builds values and never calls anything.
#pragma once
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <deque>
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
  /// "module.name" of a Global or of what an Opaque was made by.
  std::string qualified_name() const;
};

class Unpickler {
 public:
  /// `origin` names the stream in errors.
  explicit Unpickler(std::string origin) : origin_(std::move(origin)) {}

  /// Reads one pickle off the front of `bytes` and returns its value. Throws Error(Checkpoint).
  const Value& load(std::span<const uint8_t>& bytes);
  /// Every value made so far, whether anything refers to it or not.
  const std::deque<Value>& values() const { return values_; }

 private:
  class Run;
  Value* make(Kind kind);

  std::string origin_;
  std::deque<Value> values_;
};

/// Dozens of times what a training-time HourglassNet-104 holds, in less than a gigabyte: a value takes 176 bytes and as little as one of the file's.
inline constexpr size_t kMaxValues = 4'000'000;

}  // namespace cornernet::pickle
