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
  /// A value that came from load().
  static T store_exact(Wide value) { return value; }
};

// Conversions without branches, which compilers vectorise; c10's own branch.
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
  static c10::BFloat16 store_exact(Wide value) { return {static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16), c10::BFloat16::from_bits()}; }
};

template <>
struct Element<c10::Half> {
  using Wide = float;
  static Wide load(c10::Half value) {
    const uint32_t magnitude = value.x & 0x7fffu, sign = (value.x & 0x8000u) << 16;
    const uint32_t rebiased = (magnitude << 13) + (112u << 23);  // exponents count from 127 instead of 15
    const uint32_t infinite = (magnitude << 13) | (255u << 23);  // infinities and NaN
    const float subnormal = std::bit_cast<float>((magnitude << 13) + (113u << 23)) - std::bit_cast<float>(113u << 23);
    const uint32_t finite = magnitude < 0x400u ? std::bit_cast<uint32_t>(subnormal) : rebiased;
    return std::bit_cast<float>((magnitude >= 0x7c00u ? infinite : finite) | sign);
  }
  static c10::Half store(Wide value) {
    const uint32_t bits = std::bit_cast<uint32_t>(value), magnitude = bits & 0x7fffffffu, sign = (bits >> 16) & 0x8000u;
    const uint32_t normal = (magnitude - (112u << 23) + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;  // from 65520 on this carries into infinity
    // 0.5 has the place value of fp16's subnormals as its last bit: the addition rounds to it.
    const uint32_t subnormal = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - std::bit_cast<uint32_t>(0.5f);
    const uint32_t finite = magnitude < (113u << 23) ? subnormal : normal;
    const uint32_t infinite = magnitude > (255u << 23) ? 0x7e00u : 0x7c00u;
    return {static_cast<uint16_t>((magnitude >= (143u << 23) ? infinite : finite) | sign), c10::Half::from_bits()};
  }
  static c10::Half store_exact(Wide value) { return store(value); }
};

/// Whether `value`, later in scan order, takes over from `maximum` as in at::cummax: at ties it does, NaN always does.
template <typename Wide>
inline bool takes_over(Wide value, Wide maximum) {
  return (value >= maximum) | (value != value);
}

template <typename Wide>
inline Wide running_max(Wide maximum, Wide value) {
  return takes_over(value, maximum) ? value : maximum;
}

}  // namespace cornernet::cpu
