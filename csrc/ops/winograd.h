// Winograd's convolution, F(4x4, 3x3): a quarter of the multiplications of the definition's, for training in fp32 on the CPU.
#pragma once
#include <ATen/core/Tensor.h>

namespace cornernet {

/// Whether a 3x3 convolution of x [N, in, H, W] with `out` channels is faster so than by oneDNN: fp32 on the CPU, many places and channels.
bool winograd_pays(const at::Tensor& x, int64_t out_channels, int64_t kernel_size, int64_t stride);

/// conv(x, weight), padding 1; channels-last. It rounds more than the definition: by 1e-5 of the largest value.
at::Tensor winograd_conv(const at::Tensor& x, const at::Tensor& weight);
/// The gradient of its x.
at::Tensor winograd_conv_input_gradient(const at::Tensor& grad_y, const at::Tensor& weight);
/// The gradient of its weight: [out, in, 3, 3], channels-last.
at::Tensor winograd_conv_weight_gradient(const at::Tensor& grad_y, const at::Tensor& x);

}  // namespace cornernet
