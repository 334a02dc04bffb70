#include "ops/conv.h"

#include <ATen/core/List.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/cudnn_convolution_add_relu.h>
#include <ATen/ops/cudnn_convolution_relu.h>

#include <array>
#include <optional>
#include <string_view>

#include "ops/onednn_op.h"

namespace cornernet {
namespace {

using Ints = at::IntArrayRef;
using Scalars = c10::List<std::optional<at::Scalar>>;
using Attribute = std::optional<std::string_view>;

constexpr std::array<int64_t, 2> kNoDilation{1, 1};

at::Tensor onednn_pack(const at::Tensor& weight, Ints padding, Ints stride, Ints input_size) {
  static const auto op =
      onednn_op<at::Tensor(const at::Tensor&, Ints, Ints, Ints, int64_t, at::OptionalIntArrayRef)>("mkldnn::_reorder_convolution_weight");
  return op.call(weight, padding, stride, kNoDilation, 1, input_size);
}

at::Tensor onednn_conv(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, Ints padding, Ints stride, bool relu) {
  static const auto op = onednn_op<at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&, Ints, Ints, Ints, int64_t,
                                              std::string_view, Scalars, Attribute)>("mkldnn::_convolution_pointwise");
  return op.call(x, weight, bias, padding, stride, kNoDilation, 1, relu ? "relu" : "none", Scalars(), std::nullopt);
}

at::Tensor onednn_conv_add_relu(const at::Tensor& x, const at::Tensor& other, const at::Tensor& weight, const at::Tensor& bias, Ints padding,
                                Ints stride) {
  static const auto op =
      onednn_op<at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&, Ints, Ints, Ints, int64_t,
                           std::string_view, std::optional<at::Scalar>, Attribute, Scalars, Attribute)>("mkldnn::_convolution_pointwise", "binary");
  return op.call(x, other, weight, bias, padding, stride, kNoDilation, 1, "add", std::nullopt, "relu", Scalars(), std::nullopt);
}

at::Tensor onednn_conv_add_relu_over(const at::Tensor& x, at::Tensor& other, const at::Tensor& weight, const at::Tensor& bias, Ints padding,
                                     Ints stride) {
  static const auto op =
      onednn_op<at::Tensor&(at::Tensor&, const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&, Ints, Ints, Ints, int64_t,
                            std::string_view, std::optional<at::Scalar>, Attribute, Scalars, Attribute)>("mkldnn::_convolution_pointwise_", "binary");
  return op.call(other, x, weight, bias, padding, stride, kNoDilation, 1, "add", std::nullopt, "relu", Scalars(), std::nullopt);
}

}  // namespace

PackedConv::PackedConv(const at::Tensor& weight, const at::Tensor& bias, int64_t stride, at::ScalarType dtype, at::Device device)
    : weights_(weight.to(device, dtype).contiguous(device.is_cpu() ? at::MemoryFormat::Contiguous : at::MemoryFormat::ChannelsLast)),
      bias_(bias.to(device, dtype).contiguous()),
      stride_(stride),
      padding_(weight.size(2) / 2),
      weight_bytes_(static_cast<int64_t>(weights_.dense().nbytes())) {}

const at::Tensor& PackedConv::weight_for(const at::Tensor& x) const {
  return weights_.for_input(x.sizes(), [this](const at::Tensor& dense, Ints size) { return onednn_pack(dense, padding(), stride(), size); });
}

at::Tensor PackedConv::forward(const at::Tensor& x, bool relu) const {
  if (x.is_cpu()) return onednn_conv(x, weight_for(x), bias_, padding(), stride(), relu);
  if (relu) return at::cudnn_convolution_relu(x, weights_.dense(), bias_, stride(), padding(), kNoDilation, 1);
  return at::conv2d(x, weights_.dense(), bias_, stride(), padding(), kNoDilation, 1);
}

at::Tensor PackedConv::forward_add_relu(const at::Tensor& x, const at::Tensor& residual) const {
  if (x.is_cpu()) return onednn_conv_add_relu(x, residual, weight_for(x), bias_, padding(), stride());
  return at::cudnn_convolution_add_relu(x, weights_.dense(), residual, 1, bias_, stride(), padding(), kNoDilation, 1);
}

at::Tensor PackedConv::forward_add_relu_over(const at::Tensor& x, at::Tensor residual) const {
  if (!x.is_cpu()) return forward_add_relu(x, residual);
  return onednn_conv_add_relu_over(x, residual, weight_for(x), bias_, padding(), stride());
}

}  // namespace cornernet
