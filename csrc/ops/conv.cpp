#include "ops/conv.h"

#include <ATen/core/List.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/cudnn_convolution_add_relu.h>
#include <ATen/ops/cudnn_convolution_relu.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string_view>

// LibTorch exports these, and installs no header that says so.
namespace at::native {
TORCH_API int64_t nbytes_from_mkldnn(const Tensor& tensor);
TORCH_API int64_t data_ptr_from_mkldnn(const Tensor& tensor);
}  // namespace at::native

namespace cornernet {
namespace {

// PyTorch exposes oneDNN's fused convolutions through its dispatcher only: they have no C++ function of their own.
template <typename Signature>
c10::TypedOperatorHandle<Signature> onednn_op(const char* name, const char* overload = "") {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, overload).typed<Signature>();
}

using Ints = at::IntArrayRef;
using Scalars = c10::List<std::optional<at::Scalar>>;
using Attribute = std::optional<std::string_view>;

constexpr std::array<int64_t, 2> kNoDilation{1, 1};

// Copies of one convolution's weights, and input sizes whose layout is remembered: bounds for a stream of ever new sizes.
constexpr size_t kMostLayouts = 4, kMostSizes = 512;

thread_local int64_t packed = 0;

at::Tensor onednn_pack(const at::Tensor& weight, Ints padding, Ints stride, Ints input_size) {
  static const auto op =
      onednn_op<at::Tensor(const at::Tensor&, Ints, Ints, Ints, int64_t, at::OptionalIntArrayRef)>("mkldnn::_reorder_convolution_weight");
  ++packed;
  return op.call(weight, padding, stride, kNoDilation, 1, input_size);
}

/// Whether two copies of the same weights lie in memory in the same way. What oneDNN writes of a layout can't tell: it has garbage between its
/// fields.
bool same_layout(const at::Tensor& a, const at::Tensor& b) {
  const int64_t bytes = at::native::nbytes_from_mkldnn(a);
  const auto data = [](const at::Tensor& packed) { return reinterpret_cast<const void*>(at::native::data_ptr_from_mkldnn(packed)); };
  return bytes == at::native::nbytes_from_mkldnn(b) && std::memcmp(data(a), data(b), static_cast<size_t>(bytes)) == 0;
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

int64_t packed_layouts() { return packed; }

PackedConv::PackedConv(const at::Tensor& weight, const at::Tensor& bias, int64_t stride, at::ScalarType dtype, at::Device device)
    : weight_(weight.to(device, dtype).contiguous(device.is_cpu() ? at::MemoryFormat::Contiguous : at::MemoryFormat::ChannelsLast)),
      bias_(bias.to(device, dtype).contiguous()),
      stride_(stride),
      padding_(weight.size(2) / 2),
      weight_bytes_(static_cast<int64_t>(weight_.nbytes())) {}

const at::Tensor& PackedConv::weight_for(const at::Tensor& x) const {
  InputSize size;
  std::copy(x.sizes().begin(), x.sizes().end(), size.begin());
  if (const auto known = layout_of_.find(size); known != layout_of_.end()) return packed_[known->second];
  const at::Tensor dense = packed_.empty() ? weight_ : packed_.front().to_dense();
  at::Tensor packed = onednn_pack(dense, padding(), stride(), size);
  auto same = std::find_if(packed_.begin(), packed_.end(), [&](const at::Tensor& other) { return same_layout(other, packed); });
  if (same == packed_.end()) {
    if (packed_.size() == kMostLayouts) packed_.clear();
    if (packed_.empty()) layout_of_.clear();
    packed_.push_back(std::move(packed));
    same = packed_.end() - 1;
    weight_.reset();
  }
  if (layout_of_.size() == kMostSizes) layout_of_.clear();
  layout_of_[size] = static_cast<size_t>(same - packed_.begin());
  return *same;
}

at::Tensor PackedConv::forward(const at::Tensor& x, bool relu) const {
  if (x.is_cpu()) return onednn_conv(x, weight_for(x), bias_, padding(), stride(), relu);
  if (relu) return at::cudnn_convolution_relu(x, weight_, bias_, stride(), padding(), kNoDilation, 1);
  return at::conv2d(x, weight_, bias_, stride(), padding(), kNoDilation, 1);
}

at::Tensor PackedConv::forward_add_relu(const at::Tensor& x, const at::Tensor& residual) const {
  if (x.is_cpu()) return onednn_conv_add_relu(x, residual, weight_for(x), bias_, padding(), stride());
  return at::cudnn_convolution_add_relu(x, weight_, residual, 1, bias_, stride(), padding(), kNoDilation, 1);
}

at::Tensor PackedConv::forward_add_relu_over(const at::Tensor& x, at::Tensor residual) const {
  if (!x.is_cpu()) return forward_add_relu(x, residual);
  return onednn_conv_add_relu_over(x, residual, weight_for(x), bias_, padding(), stride());
}

}  // namespace cornernet
