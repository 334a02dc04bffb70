// The operators that are measured: for each our way, ATen's way on the same inputs, and the proof that ours is right.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>

#include "ops/work.h"

namespace cornernet::bench {

struct Operator {
  std::function<at::Tensor()> ours, aten;
  /// Compares a result with what ATen gives in fp32; returns the largest error as a fraction of what is allowed.
  std::function<double(const at::Tensor& result)> error;
};

/// `int8`: on maps of 8 bits, on the CPU. Throws Error(Option) for an operator of another name or for sides that can't be.
Operator make_operator(const Work& work, at::ScalarType dtype, at::Device device, bool int8 = false);

}  // namespace cornernet::bench
