// Corner pooling: the inclusive running maximum along one image axis.
#pragma once
#include <ATen/core/Tensor.h>

#include "ops/quantized.h"

namespace cornernet {

/// top[y] = max over rows >= y, bottom[y] = max over rows <= y, left[x] = max over columns >= x, right[x] = max over columns <= x.
enum class Direction { Top, Bottom, Left, Right };

/// x: [N, C, H, W], contiguous or channels-last; fp32, fp16 or bf16 (CPU and CUDA) or fp64 (CPU). Same shape, dtype and layout out.
/// NaN spreads along the scan as in at::cummax.
at::Tensor corner_pool(const at::Tensor& x, Direction direction);

/// The gradient of corner_pool at x: each output's gradient goes to the element it came from, the latest in scan order at ties (as at::cummax does).
at::Tensor corner_pool_backward(const at::Tensor& grad_output, const at::Tensor& x, Direction direction);

/// corner_pool(a, direction_a) + corner_pool(b, direction_b) in one pass over both; the first direction is vertical, the other horizontal.
at::Tensor corner_pool_pair(const at::Tensor& a, Direction direction_a, const at::Tensor& b, Direction direction_b);

/// The same of maps of 8 bits on the CPU, as one of `sum`, computed in fp32 and rounded once: zero points 0.
at::Tensor corner_pool_pair(const at::Tensor& a, Direction direction_a, const at::Tensor& b, Direction direction_b, const Affine& sum);

}  // namespace cornernet
