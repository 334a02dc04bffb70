// The operators that are measured: for each its inputs, our way, ATen's way, and the proof that ours is right.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>

#include "ops/work.h"

namespace cornernet::bench {

struct Operator {
  std::function<at::Tensor()> ours, aten;
  /// Compares a result of ours with the definition; returns the largest error as a fraction of what is allowed.
  std::function<double(const at::Tensor& result)> error;
};

/// Throws Error(Option) for an operator of another name or for sides that can't be.
Operator make_operator(const Work& work, at::ScalarType dtype, at::Device device);

}  // namespace cornernet::bench
