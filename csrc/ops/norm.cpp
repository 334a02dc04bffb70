#include "ops/norm.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include "ops/cpu/kernels.h"
#include "ops/dispatch.h"
#include "runtime/error.h"

namespace cornernet {
namespace {

constexpr InputOf kNorm{"norm"};

at::Tensor dense(const at::Tensor& x) {
  check_supported(x, kNorm.name);
  kNorm.require(x.is_cpu() && x.dim() == 4, "a map must have four dimensions [N, C, H, W] and be on the CPU");
  return x.contiguous(at::MemoryFormat::ChannelsLast);
}

void check_channels(const at::Tensor& x, std::initializer_list<at::Tensor> each, at::ScalarType type) {
  for (const at::Tensor& one : each) {
    kNorm.require(one.numel() == x.size(1) && one.scalar_type() == type && one.is_contiguous(), "a number for each channel");
  }
}

at::ScalarType wide_type(const at::Tensor& x) { return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat; }

at::Tensor dense_residual(const at::Tensor& residual, const at::Tensor& x) {
  if (!residual.defined()) return residual;
  kNorm.require(residual.sizes() == x.sizes() && residual.scalar_type() == x.scalar_type(), "both maps must agree");
  return dense(residual);
}

}  // namespace

ChannelMoments channel_moments(const at::Tensor& input) {
  const at::Tensor x = dense(input);
  kNorm.require(x.numel() > 0, "an empty map has no mean");
  ChannelMoments moments{at::empty({x.size(1)}, at::kDouble), at::empty({x.size(1)}, at::kDouble)};
  cpu::channel_moments(x, moments.mean, moments.variance);
  return moments;
}

at::Tensor apply_norm(const at::Tensor& input, const ChannelAffine& affine, const at::Tensor& residual, bool relu) {
  const at::Tensor x = dense(input);
  check_channels(x, {affine.scale, affine.shift}, wide_type(x));
  at::Tensor y = at::empty_like(x);
  cpu::apply_norm(x, affine, dense_residual(residual, x), relu, y);
  return y;
}

NormGradients apply_norm_backward(const at::Tensor& grad_y, const at::Tensor& input, const ChannelAffine& affine, const at::Tensor& residual,
                                  bool relu, const at::Tensor& mean, const at::Tensor& inverse_deviation, bool measured) {
  const at::Tensor x = dense(input);
  check_channels(x, {affine.scale, affine.shift}, wide_type(x));
  check_channels(x, {mean, inverse_deviation}, at::kDouble);
  NormGradients gradients{at::empty_like(x), residual.defined() ? at::empty_like(x) : at::Tensor(), at::empty_like(mean), at::empty_like(mean)};
  cpu::apply_norm_backward(dense_residual(grad_y, x), x, affine, dense_residual(residual, x), relu, mean, inverse_deviation, measured, gradients);
  return gradients;
}

}  // namespace cornernet
