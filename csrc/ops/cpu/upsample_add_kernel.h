// Nearest upsampling and sum on the CPU.
#pragma once
#include <ATen/core/Tensor.h>

#include "ops/upsample_view.h"

namespace cornernet::cpu {

/// All tensors dense, of one dtype and layout; `y` is written.
void upsample_add(const at::Tensor& low, const at::Tensor& skip, at::Tensor& y, const UpsampleView& view);

}  // namespace cornernet::cpu
