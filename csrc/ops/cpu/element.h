// How the CPU kernels read and write each element type: computing is in `Wide`, storing rounds once, to nearest even.
#pragma once
#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <bit>
#include <cstdint>

namespace cornernet::cpu {

template <typename T>
struct Element {
  using Wide = T;
  static Wide load(T value) { return value; }
  static T store(Wide value) { return value; }
};

// Written out as integer arithmetic, which compilers vectorise; c10's own conversions branch.
template <>
struct Element<c10::BFloat16> {
  using Wide = float;
  static Wide load(c10::BFloat16 value) { return std::bit_cast<float>(static_cast<uint32_t>(value.x) << 16); }
  static c10::BFloat16 store(Wide value) {
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    const uint32_t quiet_nan = 0x7fc0u;
    return {static_cast<uint16_t>(value != value ? quiet_nan : rounded), c10::BFloat16::from_bits()};
  }
};

template <>
struct Element<c10::Half> {
  using Wide = float;
  static Wide load(c10::Half value) { return value; }
  static c10::Half store(Wide value) { return c10::Half(value); }
};

/// at::cummax's step: the greater, and NaN once met.
template <typename Wide>
inline Wide running_max(Wide maximum, Wide value) {
  return (value > maximum) | (value != value) ? value : maximum;
}

}  // namespace cornernet::cpu
