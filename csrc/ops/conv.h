// A 2-d convolution whose weights are packed for a device and whose bias, ReLU and residual sum are fused into it.
#pragma once
#include <ATen/core/Tensor.h>

#include <array>
#include <optional>

#include "ops/fused_or_plain.h"
#include "ops/packed_weights.h"

namespace cornernet {

/// A map of `sizes`, channels-last, for a fused kernel that multiplies it by zero: memory of `x`, whose numbers are finite, seen as such a map. None
/// where `x` is smaller.
std::optional<at::Tensor> finite_addend(const at::Tensor& x, at::IntArrayRef sizes);

/// y = act(conv(x, weight) + bias [+ residual]), padding kernel/2, one group. Inference only; one thread at a time.
class PackedConv {
 public:
  PackedConv() = default;
  /// weight: [out, in, k, k] with odd k; bias: [out]. Both are cast to `dtype` (oneDNN and cuDNN accumulate in fp32, and cuBLAS under
  /// engine/device_lock.h's rules).
  PackedConv(const at::Tensor& weight, const at::Tensor& bias, int64_t stride, at::ScalarType dtype, at::Device device);

  /// The same with outputs that are 0 behind its own, up to a multiple. Before the first run.
  PackedConv padded(int64_t multiple_of) const;
  /// The same that reads `channels`, of which the first behind its own is 1 everywhere and the others are 0: its bias is a product with that 1, at
  /// the kernel's middle, which is never beside the map. Before the first run.
  PackedConv with_bias_as_input(int64_t channels) const;

  bool defined() const { return out_channels_ > 0; }
  /// Takes another bias, or none, before the first run.
  void set_bias(const at::Tensor& bias);
  /// x: [N, in, H, W], channels-last, of this dtype and device; channels-last out. Where the dtype is fp16, x may be fp32, and so is what comes out:
  /// computed with the rounded weights, operator by operator.
  at::Tensor forward(const at::Tensor& x, bool relu) const;
  /// relu(conv(x) + bias + residual); where nobody else needs `residual`, it may be written `over`: one map less to allocate and to read.
  at::Tensor forward_add_relu(const at::Tensor& x, at::Tensor residual, bool over = false) const;
  int64_t in_channels() const { return in_channels_; }
  int64_t weight_bytes() const { return weight_bytes_; }

 private:
  using Sides = std::array<int64_t, 2>;
  Sides padding() const { return {padding_, padding_}; }
  Sides stride() const { return {stride_, stride_}; }

  const at::Tensor& weight_for(const at::Tensor& x) const;
  std::array<int64_t, 4> result_sizes(const at::Tensor& x) const;
  at::Tensor plain(const at::Tensor& x, bool relu, const at::Tensor* residual) const;
  at::Tensor on_cudnn(const at::Tensor& x, const at::Tensor* residual) const;
  at::Tensor as_product(const at::Tensor& x) const;
  /// fp16 is what a CPU has no fused kernels for.
  bool by_onednn(const at::Tensor& x) const { return x.is_cpu() && dtype_ != at::kHalf; }

  mutable PackedWeights weights_;
  at::ScalarType dtype_ = at::kFloat;
  at::Tensor bias_;
  int64_t in_channels_ = 0, out_channels_ = 0, stride_ = 1, padding_ = 0, weight_bytes_ = 0;
  FusedOrPlain way_;
};

}  // namespace cornernet
