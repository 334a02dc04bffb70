// Rounding to 8 bits in loops that vectorise on every CPU.
#pragma once
#include <bit>
#include <cstdint>

namespace cornernet::cpu {

/// The nearest whole number of `value`, ties to even, within least and most (at most 2^21 from 0); NaN becomes `least`.
inline int32_t round_within(float value, float least, float most) {
  const float above = value > least ? value : least, within = above < most ? above : most;
  // At 1.5 * 2^23 the last bit of fp32 counts one: the addition rounds, and the result is in the low bits.
  constexpr float kShift = 0x1.8p23f;
  return static_cast<int32_t>(std::bit_cast<uint32_t>(within + kShift) - std::bit_cast<uint32_t>(kShift));
}

inline uint8_t to_byte(float value) { return static_cast<uint8_t>(round_within(value, 0.f, 255.f)); }

}  // namespace cornernet::cpu
