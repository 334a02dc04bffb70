// Folding a norm's scale into a convolution's weight.
#pragma once
#include <ATen/core/Tensor.h>

namespace cornernet {

/// weight[o, ...] * scale[o], computed in fp64 and cast once to `dtype` (fp32, bf16 or fp16), in one pass and without temporaries.
/// weight: on the CPU, [out, ...], any floating type; scale: fp64 [out].
at::Tensor scale_outputs(const at::Tensor& weight, const at::Tensor& scale, at::ScalarType dtype);

}  // namespace cornernet
