// How the CPU kernels read and write each element type: computing is in `Wide`, storing rounds once, to nearest even.
#pragma once
#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <bit>
#include <cstdint>

#include "ops/sixteen_bits.h"

namespace cornernet::cpu {

template <typename T>
struct Element {
  using Wide = T;
  static Wide load(T value) { return value; }
  static T store(Wide value) { return value; }
  /// A value that came from load().
  static T store_exact(Wide value) { return value; }
};

template <>
struct Element<c10::BFloat16> {
  using Wide = float;
  static Wide load(c10::BFloat16 value) { return bfloat16_to_float(value.x); }
  static c10::BFloat16 store(Wide value) { return {float_to_bfloat16(value), c10::BFloat16::from_bits()}; }
  static c10::BFloat16 store_exact(Wide value) { return {static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16), c10::BFloat16::from_bits()}; }
};

template <>
struct Element<c10::Half> {
  using Wide = float;
  static Wide load(c10::Half value) { return half_to_float(value.x); }
  static c10::Half store(Wide value) { return {float_to_half(value), c10::Half::from_bits()}; }
  static c10::Half store_exact(Wide value) { return store(value); }
};

}  // namespace cornernet::cpu
