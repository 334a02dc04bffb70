// Corner pooling on the CPU.
#pragma once
#include <ATen/core/Tensor.h>

#include "ops/scan_view.h"

namespace cornernet::cpu {

/// All tensors dense, of one dtype and layout; `y` is written.
void corner_pool(const at::Tensor& x, at::Tensor& y, const ScanView& view);
void corner_pool_backward(const at::Tensor& grad_y, const at::Tensor& x, at::Tensor& grad_x, const ScanView& view);

/// y = (a pooled along rows, downwards or upwards) + (b pooled along columns).
void corner_pool_pair(const at::Tensor& a, const at::Tensor& b, at::Tensor& y, const PairView& view);

}  // namespace cornernet::cpu
