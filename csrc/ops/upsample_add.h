// Nearest upsampling to the exact size of a second map, and their sum: the way back up of an hourglass.
#pragma once
#include <ATen/core/Tensor.h>

#include "ops/quantized.h"

namespace cornernet {

/// skip + nearest(low, size of skip). low: [N, C, h, w], skip: [N, C, H, W]; one dtype, one layout (contiguous or channels-last), which the result
/// has too.
at::Tensor upsample_nearest_add(const at::Tensor& low, const at::Tensor& skip);

/// The same of maps of 8 bits on the CPU, as one of `sum`, computed in fp32 and rounded once: zero points 0.
at::Tensor upsample_nearest_add(const at::Tensor& low, const at::Tensor& skip, const Affine& sum);

}  // namespace cornernet
