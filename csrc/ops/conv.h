// A 2-d convolution whose weights are packed for a device and whose bias, ReLU and residual sum are fused into it.
#pragma once
#include <ATen/core/Tensor.h>

#include <array>
#include <map>
#include <vector>

namespace cornernet {

/// Copies of weights that this thread has made in layouts of oneDNN's so far: a forward that makes one takes more memory than the next.
int64_t packed_layouts();

/// y = act(conv(x, weight) + bias [+ residual]), padding kernel/2, one group. Inference only; one thread at a time.
class PackedConv {
 public:
  PackedConv() = default;
  /// weight: [out, in, k, k] with odd k; bias: [out]. Both are cast to `dtype` (oneDNN and cuDNN accumulate in fp32).
  PackedConv(const at::Tensor& weight, const at::Tensor& bias, int64_t stride, at::ScalarType dtype, at::Device device);

  bool defined() const { return bias_.defined(); }
  /// x: [N, in, H, W], channels-last, of this dtype and device; channels-last out.
  at::Tensor forward(const at::Tensor& x, bool relu) const;
  /// relu(conv(x) + bias + residual).
  at::Tensor forward_add_relu(const at::Tensor& x, const at::Tensor& residual) const;
  /// The same, written over `residual`, which nobody else may need: one map less to allocate and to read.
  at::Tensor forward_add_relu_over(const at::Tensor& x, at::Tensor residual) const;
  int64_t weight_bytes() const { return weight_bytes_; }

 private:
  using Sides = std::array<int64_t, 2>;
  Sides padding() const { return {padding_, padding_}; }
  Sides stride() const { return {stride_, stride_}; }
  const at::Tensor& weight_for(const at::Tensor& x) const;

  using InputSize = std::array<int64_t, 4>;

  // On the CPU oneDNN names the layout that it wants for an input size, and sizes mostly agree on one: packing tells, once a size. Weights of
  // another layout still give the right result, but cost up to 70 ms a call; packing anew whenever the size changes doubles a forward's time.
  mutable at::Tensor weight_;  // dense; on the CPU until it is packed
  mutable std::vector<at::Tensor> packed_;
  mutable std::map<InputSize, size_t> layout_of_;  // indices of packed_
  at::Tensor bias_;
  int64_t stride_ = 1, padding_ = 0, weight_bytes_ = 0;
};

}  // namespace cornernet
