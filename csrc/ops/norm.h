// A batch norm in training with what follows it, the sum with another map and the ReLU, as one operator; and the way back.
#pragma once
#include <ATen/core/Tensor.h>

namespace cornernet {

/// Of each channel over all pictures and places: fp64 [C] on the CPU. The variance is divided by the number of values.
struct ChannelMoments {
  at::Tensor mean, variance;
};

/// A norm as it is applied, of fp32 (fp64 for fp64 maps), [C].
struct ChannelAffine {
  at::Tensor scale, shift;
};

/// x: [N, C, H, W] on the CPU, of any floating type. The order of the sums does not depend on the number of threads.
ChannelMoments channel_moments(const at::Tensor& x);

/// act(x * scale + shift [+ residual]), channels-last; computed in fp32 (fp64 for fp64), rounded once.
at::Tensor apply_norm(const at::Tensor& x, const ChannelAffine& affine, const at::Tensor& residual, bool relu);

/// Of all that apply_norm took; `weight` and `bias` are the norm's, fp64. `residual` is undefined where there was none.
struct NormGradients {
  at::Tensor x, residual, weight, bias;
};
/// `measured`: whether mean and variance were x's own (channel_moments), else they were constants; `inverse_deviation`: fp64 [C].
NormGradients apply_norm_backward(const at::Tensor& grad_y, const at::Tensor& x, const ChannelAffine& affine, const at::Tensor& residual, bool relu,
                                  const at::Tensor& mean, const at::Tensor& inverse_deviation, bool measured);

}  // namespace cornernet
