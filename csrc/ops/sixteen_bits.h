// fp16 and bf16 as fp32 and back, on the CPU, without branches: loops of these vectorise, loops of c10's conversions do not.
#pragma once
#include <bit>
#include <cstdint>

namespace cornernet {

inline float bfloat16_to_float(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

/// To nearest even.
inline uint16_t float_to_bfloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const uint32_t quiet_nan = 0x7fc0u;
  return static_cast<uint16_t>(value != value ? quiet_nan : rounded);
}

inline float half_to_float(uint16_t bits) {
  const uint32_t magnitude = bits & 0x7fffu, sign = (bits & 0x8000u) << 16;
  const uint32_t rebiased = (magnitude << 13) + (112u << 23);  // exponents count from 127 instead of 15
  const uint32_t infinite = (magnitude << 13) | (255u << 23);  // infinities and NaN
  const float subnormal = std::bit_cast<float>((magnitude << 13) + (113u << 23)) - std::bit_cast<float>(113u << 23);
  const uint32_t finite = magnitude < 0x400u ? std::bit_cast<uint32_t>(subnormal) : rebiased;
  return std::bit_cast<float>((magnitude >= 0x7c00u ? infinite : finite) | sign);
}

/// To nearest even.
inline uint16_t float_to_half(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value), magnitude = bits & 0x7fffffffu, sign = (bits >> 16) & 0x8000u;
  // From 65520 on the carry makes it infinity.
  const uint32_t normal = (magnitude - (112u << 23) + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
  // 0.5 has the place value of fp16's subnormals as its last bit: the addition rounds to it.
  const uint32_t subnormal = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - std::bit_cast<uint32_t>(0.5f);
  const uint32_t finite = magnitude < (113u << 23) ? subnormal : normal;
  const uint32_t infinite = magnitude > (255u << 23) ? 0x7e00u : 0x7c00u;
  return static_cast<uint16_t>((magnitude >= (143u << 23) ? infinite : finite) | sign);
}

}  // namespace cornernet
