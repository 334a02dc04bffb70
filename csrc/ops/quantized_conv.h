// A 2-d convolution of maps and weights of 8 bits on the CPU, whose bias, ReLU, residual sum and rounding are fused into it.
#pragma once
#include <ATen/core/Tensor.h>

#include <array>
#include <optional>

#include "ops/packed_weights.h"
#include "ops/quantized.h"

namespace cornernet {

/// y = act(conv(x, weight) + bias [+ residual]), padding kernel/2, one group: the products' sums are exact (int32), what follows is fp32, and the
/// result is rounded once. Inference only; one thread at a time; CPUs with VNNI (elsewhere oneDNN's sums saturate).
class QuantizedConv {
 public:
  QuantizedConv() = default;
  /// weight: int8 [out, in, k, k] with odd k, whose numbers are weight * scale[out]; scale, bias: fp32 [out]. `wide` (fp32 or bf16) is what results
  /// are in that are not of 8 bits.
  QuantizedConv(const at::Tensor& weight, const at::Tensor& scale, const at::Tensor& bias, int64_t stride, at::ScalarType wide);

  bool defined() const { return bias_.defined(); }
  /// x: a map of 8 bits [N, in, H, W], channels-last, without a zero point. The result is of 8 bits where `to` is given.
  at::Tensor forward(const at::Tensor& x, bool relu, const std::optional<Affine>& to) const;
  /// relu(conv(x) + bias + residual), written over `residual`, which nobody else may need: a map of 8 bits where `to` is given, else a wide one.
  at::Tensor forward_add_relu_over(const at::Tensor& x, const at::Tensor& residual, const std::optional<Affine>& to) const;

  int64_t weight_bytes() const { return weight_bytes_; }
  /// fp32 [out].
  void set_bias(const at::Tensor& bias) { bias_ = bias; }

 private:
  using Sides = std::array<int64_t, 2>;
  Sides padding() const { return {padding_, padding_}; }
  Sides stride() const { return {stride_, stride_}; }
  const at::Tensor& weight_for(const at::Tensor& bytes, double input_scale) const;

  mutable PackedWeights weights_;
  at::Tensor scale_, zero_points_, bias_;
  int64_t stride_ = 1, padding_ = 0, weight_bytes_ = 0;
  at::ScalarType wide_ = at::kFloat;
};

}  // namespace cornernet
