#include "ops/conv.h"

#include <ATen/Context.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/cudnn_convolution_add_relu.h>

#include <array>
#include <optional>
#include <string_view>

#include "ops/onednn_op.h"

namespace cornernet {
namespace {

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
      dtype_(dtype),
      in_channels_(weight.size(1)),
      out_channels_(weight.size(0)),
      stride_(stride),
      padding_(weight.size(2) / 2),
      weight_bytes_(static_cast<int64_t>(weights_.dense().nbytes())) {
  set_bias(bias);
}

void PackedConv::set_bias(const at::Tensor& bias) { bias_ = bias.defined() ? bias.to(weights_.dense().options()).contiguous() : bias; }

PackedConv PackedConv::padded(int64_t multiple_of) const {
  const int64_t more = (multiple_of - out_channels_ % multiple_of) % multiple_of;
  const at::Tensor bias = bias_.defined() ? at::constant_pad_nd(bias_, {0, more}) : bias_;
  return PackedConv(at::constant_pad_nd(weights_.dense(), {0, 0, 0, 0, 0, 0, 0, more}), bias, stride_, dtype_, weights_.dense().device());
}

PackedConv PackedConv::with_bias_as_input(int64_t channels) const {
  const at::Tensor weight = at::constant_pad_nd(weights_.dense(), {0, 0, 0, 0, 0, channels - in_channels_});
  weight.select(3, padding_).select(2, padding_).select(1, in_channels_).copy_(bias_);
  return PackedConv(weight, {}, stride_, dtype_, weight.device());
}

const at::Tensor& PackedConv::weight_for(const at::Tensor& x) const {
  return weights_.for_input(x.sizes(), [this](const at::Tensor& dense, Ints size) { return onednn_pack(dense, padding(), stride(), size); });
}

std::array<int64_t, 4> PackedConv::result_sizes(const at::Tensor& x) const {
  const int64_t kernel = weights_.dense().size(2);
  const auto side = [&](int64_t of) { return (of + 2 * padding_ - kernel) / stride_ + 1; };
  return {x.size(0), weights_.dense().size(0), side(x.size(2)), side(x.size(3))};
}

/// Operator by operator: what layers without a fused kernel take, who wants the same bits each time, which LibTorch's fused ones don't promise, and
/// what has a wider type than the weights.
at::Tensor PackedConv::plain(const at::Tensor& x, bool relu, const at::Tensor* residual) const {
  const at::Tensor bias = bias_.defined() ? bias_.to(x.scalar_type()) : bias_;
  at::Tensor y = at::conv2d(x, weights_.dense().to(x.scalar_type()), bias, stride(), padding(), kNoDilation, 1);
  if (residual != nullptr) y.add_(*residual);
  return relu ? y.relu_() : y;
}

std::optional<at::Tensor> finite_addend(const at::Tensor& x, at::IntArrayRef sizes) {
  if (!x.is_contiguous(at::MemoryFormat::ChannelsLast) || c10::multiply_integers(sizes) > x.numel()) return std::nullopt;
  return x.as_strided(sizes, {sizes[1] * sizes[2] * sizes[3], 1, sizes[3] * sizes[1], sizes[1]});
}

at::Tensor PackedConv::on_cudnn(const at::Tensor& x, const at::Tensor* residual) const {
  const auto in_steps = [&] { return plain(x, /*relu=*/true, residual); };
  if (!bias_.defined() || x.scalar_type() != dtype_ || at::globalContext().deterministicCuDNN()) return in_steps();
  if (residual != nullptr) {
    return way_.run([&] { return at::cudnn_convolution_add_relu(x, weights_.dense(), *residual, 1, bias_, stride(), padding(), kNoDilation, 1); },
                    in_steps);
  }
  // The fused kernel adds a map also where none is asked for, times zero. cudnn_convolution_relu gives it the result's own memory, which nobody has
  // written yet: NaN times zero is NaN. The input is as good and finite. Where fp16 overflows it isn't, and a smaller result's addend may be another
  // picture's: NaN, which the ReLU keeps (cudnn_frontend's default since its version 1), so that this picture is computed again in fp32 too.
  const std::optional<at::Tensor> addend = finite_addend(x, result_sizes(x));
  if (!addend) return in_steps();
  return way_.run([&] { return at::cudnn_convolution_add_relu(x, weights_.dense(), *addend, 0, bias_, stride(), padding(), kNoDilation, 1); },
                  in_steps);
}

/// A kernel of one place without ReLU: a product of matrices, whose library adds the bias in the same pass. cuDNN does that with a ReLU only.
at::Tensor PackedConv::as_product(const at::Tensor& x) const {
  const at::Tensor& weight = weights_.dense();
  const at::Tensor pixels = x.permute({0, 2, 3, 1});
  const at::Tensor y = at::addmm(bias_, pixels.reshape({-1, weight.size(1)}), weight.reshape({out_channels_, weight.size(1)}).t());
  return y.view({x.size(0), x.size(2), x.size(3), out_channels_}).permute({0, 3, 1, 2});
}

at::Tensor PackedConv::forward(const at::Tensor& x, bool relu) const {
  if (by_onednn(x)) return onednn_conv(x, weight_for(x), bias_, padding(), stride(), relu);
  if (relu && !x.is_cpu()) return on_cudnn(x, nullptr);
  const bool is_product = padding_ == 0 && stride_ == 1 && bias_.defined() && x.is_contiguous(at::MemoryFormat::ChannelsLast);
  if (is_product && !relu && !x.is_cpu() && x.scalar_type() == dtype_ && !at::globalContext().deterministicCuDNN()) return as_product(x);
  return plain(x, relu, nullptr);
}

at::Tensor PackedConv::forward_add_relu(const at::Tensor& x, at::Tensor residual, bool over) const {
  if (!by_onednn(x)) return x.is_cpu() ? plain(x, true, &residual) : on_cudnn(x, &residual);
  if (over) return onednn_conv_add_relu_over(x, residual, weight_for(x), bias_, padding(), stride());
  return onednn_conv_add_relu(x, residual, weight_for(x), bias_, padding(), stride());
}

}  // namespace cornernet
