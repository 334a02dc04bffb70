// How two maps' elements become one: their sum, rounded once.
#pragma once
#include <cstdint>

#include "ops/cpu/element.h"
#include "ops/cpu/rounding.h"

namespace cornernet::cpu {

template <typename T>
struct Sum {
  using Wide = typename Element<T>::Wide;
  T operator()(Wide a, Wide b) const { return Element<T>::store(a + b); }
};

/// Of bytes that stand for numbers of three scales.
struct ByteSum {
  float factor_a, factor_b;
  uint8_t operator()(uint8_t a, uint8_t b) const { return to_byte(static_cast<float>(a) * factor_a + static_cast<float>(b) * factor_b); }
};

}  // namespace cornernet::cpu
