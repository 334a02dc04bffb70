#include "nn/layers.h"

#include <ATen/ops/add.h>
#include <ATen/ops/aminmax.h>
#include <ATen/ops/any.h>
#include <ATen/ops/div.h>
#include <ATen/ops/lt.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/sqrt.h>
#include <ATen/ops/sub.h>

#include <cmath>
#include <utility>

#include "nn/differentiable.h"
#include "nn/work_log.h"
#include "ops/fold_norm.h"
#include "runtime/error.h"
#include "runtime/interrupt.h"

namespace cornernet {
namespace {

/// NaN is both the least and the largest where there is one.
bool is_finite(const at::Tensor& x) {
  const auto [least, most] = at::aminmax(x);
  return std::isfinite(least.item<double>()) && std::isfinite(most.item<double>());
}

}  // namespace

NormedConv::NormedConv(Dimensions dimensions, std::string conv_name, std::string norm_name, bool relu)
    : dimensions_(dimensions), conv_name_(std::move(conv_name)), norm_name_(std::move(norm_name)), relu_(relu) {}

void NormedConv::collect(const std::string& prefix, std::vector<Parameter>& parameters) {
  const auto [in, out, k, stride] = dimensions_;
  parameters.push_back({prefix + conv_name_ + ".weight", {out, in, k, k}, &weight_});
  if (norm_name_.empty()) {
    parameters.push_back({prefix + conv_name_ + ".bias", {out}, &bias_});
    return;
  }
  const std::string norm = prefix + norm_name_;
  parameters.push_back({norm + ".weight", {out}, &norm_weight_});
  parameters.push_back({norm + ".bias", {out}, &norm_bias_});
  parameters.push_back({norm + ".running_mean", {out}, &running_mean_, false, true});
  parameters.push_back({norm + ".running_var", {out}, &running_var_, false, true});
  parameters.push_back({norm + ".num_batches_tracked", {}, &batches_seen_, true, true});
}

NormedConv::Folded NormedConv::folded(const std::string& prefix, at::ScalarType dtype, const TensorReader& read) const {
  const auto numbers = [&read](const at::Tensor& parameter) { return read ? read(parameter) : parameter; };
  const auto exact = [&numbers](const at::Tensor& parameter) { return numbers(parameter).to(at::kDouble); };
  // All is folded, if by ones, into memory of its own: what `read` gave goes back to it.
  at::Tensor scale, bias;
  if (norm_name_.empty()) {
    scale = at::ones({dimensions_.out_channels}, at::TensorOptions(at::kDouble));
    bias = exact(bias_);
  } else {
    const at::Tensor variance = exact(running_var_);
    if (at::any(at::lt(variance, 0)).item<bool>()) refuse_checkpoint(prefix + norm_name_ + ".running_var is below 0");
    scale = at::div(exact(norm_weight_), at::sqrt(at::add(variance, kNormEpsilon)));
    bias = at::sub(exact(norm_bias_), at::mul(exact(running_mean_), scale));
  }
  return {scale_outputs(numbers(weight_), scale, dtype), bias};
}

Int8Layer Preparation::stated(const std::string& name) const {
  if (!int8) return {};
  const auto found = int8->find(name);
  return found == int8->end() ? Int8Layer{} : found->second;
}

void NormedConv::prepare(const std::string& prefix, const Preparation& how) {
  const std::string name = this->name(prefix);
  const Int8Layer calibrated = how.stated(name);
  output_.prepare(name, how.dtype, calibrated.output_scale);
  const bool int8 = calibrated.weight_scale.defined();
  const auto [weight, bias] = folded(prefix, int8 ? at::kFloat : how.dtype, how.read);
  // fp16 ends at 65504; the other types' largest numbers are fp32's.
  if (how.dtype == at::kHalf && !(is_finite(weight) && is_finite(bias.to(how.dtype)))) {
    refuse_checkpoint(prefix + conv_name_ + (norm_name_.empty() ? "" : ", with the norm folded in,") +
                      " holds numbers beyond fp16's 65504: use precision 'bf16' or 'fp32'");
  }
  if (int8) {
    const at::Tensor shifted = calibrated.bias_shift.defined() ? at::add(bias, calibrated.bias_shift) : bias;
    int8_ = QuantizedConv(quantize_weight(weight, calibrated.weight_scale), calibrated.weight_scale, shifted, dimensions_.stride, how.dtype);
  }
  folded_bias_ = bias;
  if (!int8 || how.both) packed_ = PackedConv(weight, bias, dimensions_.stride, how.dtype, how.device);
  release();
}

void NormedConv::take_bias_of(NormedConv& other) {
  if (!packed_.defined()) return;
  folded_bias_ = at::add(folded_bias_, other.folded_bias_);
  packed_.set_bias(folded_bias_);
  other.packed_.set_bias({});
}

void NormedConv::pad_outputs(int64_t multiple_of) {
  if (packed_.defined()) packed_ = packed_.padded(multiple_of);
}

void NormedConv::pad_inputs(int64_t channels) {
  if (packed_.defined()) packed_ = packed_.with_bias_as_input(channels);
}

void NormedConv::release() {
  for (at::Tensor* tensor : {&weight_, &bias_, &norm_weight_, &norm_bias_, &running_mean_, &running_var_, &batches_seen_}) tensor->reset();
}

at::Tensor NormedConv::unfused(const at::Tensor& x, const at::Tensor& residual, bool relu) const {
  if (norm_name_.empty()) return conv_and_act(x, weight_, bias_, dimensions_.stride, relu);
  const at::Tensor y = conv_and_act(x, weight_, {}, dimensions_.stride, /*relu=*/false);
  return norm_and_act(y, {norm_weight_, norm_bias_, running_mean_, running_var_, batches_seen_, training_}, residual, relu);
}

at::Tensor NormedConv::noted(const at::Tensor& x, bool residual) const {
  if (int8_.defined() && !packed_.defined() && !in_8_bits(x)) {
    refuse_checkpoint("its quantization has weights of 8 bits for " + output_.name() + ", which reads a map that is not of 8 bits");
  }
  return noted_conv(x, {dimensions_.out_channels, dimensions_.kernel_size, dimensions_.stride, relu_ || residual, residual}, output_);
}

at::Tensor NormedConv::forward(const at::Tensor& x) const {
  if (x.is_meta()) return noted(x, /*residual=*/false);
  output_.reads(x);
  if (int8_.defined() && x.is_quantized()) return output_.kept(int8_.forward(x, relu_, output_.affine(!relu_)), !relu_);
  if (packed_.defined()) return output_.kept(packed_.forward(output_.widened(x), relu_), !relu_);
  return unfused(x, {}, relu_);
}

at::Tensor NormedConv::forward_add_relu(const at::Tensor& x, const at::Tensor& residual, bool over) const {
  if (x.is_meta()) return noted(x, /*residual=*/true);
  output_.reads(x);
  if (int8_.defined() && x.is_quantized()) return int8_add_relu(x, residual, over);
  if (packed_.defined()) return output_.kept(packed_.forward_add_relu(output_.widened(x), output_.widened(residual), over));
  return unfused(x, residual, /*relu=*/true);
}

at::Tensor NormedConv::int8_add_relu(const at::Tensor& x, const at::Tensor& residual, bool over) const {
  if (output_.affine() && residual.is_quantized()) {
    const at::Tensor own = over ? residual : as_quantized(bytes_of(residual).clone(), affine_of(residual));
    return output_.kept(int8_.forward_add_relu_over(x, own, output_.affine()));
  }
  const at::Tensor own = residual.is_quantized() || over ? output_.widened(residual) : residual.clone();
  return output_.kept(int8_.forward_add_relu_over(x, own, std::nullopt));
}

NormedConv conv_module(NormedConv::Dimensions dimensions, bool norm, bool relu) { return NormedConv(dimensions, "conv", norm ? "bn" : "", relu); }

BasicBlock::BasicBlock(int64_t in_channels, int64_t out_channels, int64_t stride)
    : conv1_({in_channels, out_channels, 3, stride}, "conv1", "bn1", true), conv2_({out_channels, out_channels, 3}, "conv2", "bn2", false) {
  if (stride != 1 || in_channels != out_channels) downsample_.emplace(NormedConv::Dimensions{in_channels, out_channels, 1, stride}, "0", "1", false);
}

void BasicBlock::visit(const std::string& prefix, const Visitor& visitor) {
  visitor.conv(prefix, conv1_);
  visitor.conv(prefix, conv2_);
  if (downsample_) visitor.conv(prefix + "downsample.", *downsample_);
}

void BasicBlock::merge() {
  if (downsample_) conv2_.take_bias_of(*downsample_);
}

at::Tensor BasicBlock::forward(const at::Tensor& x, bool last) const {
  check_interrupted();  // between two blocks is often enough, and nothing is lost there
  const at::Tensor inner = conv1_.forward(x);
  if (downsample_) return conv2_.forward_add_relu(inner, downsample_->forward(x), /*over=*/true);
  return conv2_.forward_add_relu(inner, x, /*over=*/last);
}

ResLayer::ResLayer(int64_t in_channels, int64_t out_channels, int64_t num_blocks, int64_t stride, bool change_last) {
  for (int64_t i = 0; i < num_blocks; ++i) {
    const bool takes_in = change_last || i == 0;
    const bool gives_out = !change_last || i == num_blocks - 1;
    blocks_.emplace_back(takes_in ? in_channels : out_channels, gives_out ? out_channels : in_channels, i == 0 ? stride : 1);
  }
}

void ResLayer::visit(const std::string& prefix, const Visitor& visitor) {
  for (size_t i = 0; i < blocks_.size(); ++i) blocks_[i].visit(prefix + std::to_string(i) + ".", visitor);
}

void ResLayer::merge() {
  for (BasicBlock& block : blocks_) block.merge();
}

at::Tensor ResLayer::forward(at::Tensor x) const {
  for (size_t i = 0; i < blocks_.size(); ++i) x = blocks_[i].forward(x, /*last=*/i > 0);
  return x;
}

}  // namespace cornernet
