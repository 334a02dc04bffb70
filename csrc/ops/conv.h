// A 2-d convolution whose weights are packed once for a device and whose bias, ReLU and residual sum are fused into it.
#pragma once
#include <ATen/core/Tensor.h>

namespace cornernet {

/// y = act(conv(x, weight) + bias [+ residual]), padding kernel/2, one group. Inference only.
class PackedConv {
 public:
  PackedConv() = default;
  /// weight: dense fp32 [out, in, k, k] with odd k; bias: fp32 [out]. Both are cast to `dtype` (oneDNN and cuDNN accumulate in fp32).
  PackedConv(const at::Tensor& weight, const at::Tensor& bias, int64_t stride, at::ScalarType dtype, at::Device device);

  bool defined() const { return weight_.defined(); }
  /// x: [N, in, H, W], channels-last, of this dtype and device; channels-last out.
  at::Tensor forward(const at::Tensor& x, bool relu) const;
  /// relu(conv(x) + bias + residual).
  at::Tensor forward_add_relu(const at::Tensor& x, const at::Tensor& residual) const;
  /// The same, written over `residual`, which nobody else may need: one map less to allocate and to read.
  at::Tensor forward_add_relu_over(const at::Tensor& x, at::Tensor residual) const;
  int64_t weight_bytes() const { return weight_bytes_; }

 private:
  at::Tensor weight_, bias_;
  int64_t stride_ = 1, padding_ = 0, weight_bytes_ = 0;
};

}  // namespace cornernet
