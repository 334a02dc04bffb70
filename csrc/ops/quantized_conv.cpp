#include "ops/quantized_conv.h"

#include <ATen/ops/zeros.h>

#include <string>

#include "ops/onednn_op.h"
#include "runtime/error.h"

namespace cornernet {
namespace {

using List = c10::List<int64_t>;

constexpr InputOf kConvolution{"a convolution in 8 bits"};

at::Tensor onednn_pack(const at::Tensor& weight, const at::Tensor& scale, double input_scale, Ints stride, Ints padding, Ints input_size) {
  static const auto op =
      onednn_op<at::Tensor(at::Tensor, at::Tensor, double, int64_t, List, List, List, int64_t, std::optional<List>)>("onednn::qconv_prepack");
  return op.call(weight, scale, input_scale, 0, List(stride), List(padding), List(kNoDilation), 1, List(input_size));
}

}  // namespace

QuantizedConv::QuantizedConv(const at::Tensor& weight, const at::Tensor& scale, const at::Tensor& bias, int64_t stride, at::ScalarType wide)
    : weights_(weight.contiguous()),
      scale_(scale.to(at::kFloat).contiguous()),
      zero_points_(at::zeros({weight.size(0)}, at::TensorOptions(at::kLong))),
      bias_(bias.to(at::kFloat).contiguous()),
      stride_(stride),
      padding_(weight.size(2) / 2),
      weight_bytes_(static_cast<int64_t>(weights_.dense().nbytes())),
      wide_(wide) {
  kConvolution.require(weight.scalar_type() == at::kChar && weight.dim() == 4, "the weight must be int8 [out, in, k, k]");
}

const at::Tensor& QuantizedConv::weight_for(const at::Tensor& bytes, double input_scale) const {
  return weights_.for_input(bytes.sizes(),
                            [&](const at::Tensor& dense, Ints size) { return onednn_pack(dense, scale_, input_scale, stride(), padding(), size); });
}

at::Tensor QuantizedConv::forward(const at::Tensor& x, bool relu, const std::optional<Affine>& to) const {
  static const auto op =
      onednn_op<at::Tensor(at::Tensor, double, int64_t, at::Tensor, at::Tensor, at::Tensor, std::optional<at::Tensor>, List, List, List, int64_t,
                           double, int64_t, std::optional<c10::ScalarType>, std::string_view, Scalars, Attribute)>("onednn::qconv2d_pointwise");
  const Affine from = affine_of(x), result = to.value_or(Affine{});
  kConvolution.require(from.zero_point == 0, "its input must have no zero point");
  const at::Tensor bytes = bytes_of(x);
  const at::Tensor y = op.call(bytes, from.scale, 0, weight_for(bytes, from.scale), scale_, zero_points_, bias_, List(stride()), List(padding()),
                               List(kNoDilation), 1, result.scale, result.zero_point, to ? at::kByte : wide_, relu ? "relu" : "none", Scalars(), "");
  return to ? as_quantized(y, result) : y;
}

at::Tensor QuantizedConv::forward_add_relu_over(const at::Tensor& x, const at::Tensor& residual, const std::optional<Affine>& to) const {
  static const auto op =
      onednn_op<at::Tensor(at::Tensor, double, int64_t, at::Tensor, at::Tensor, at::Tensor, at::Tensor, std::optional<at::Tensor>, List, List, List,
                           int64_t, double, int64_t, std::optional<c10::ScalarType>, double, int64_t, std::string_view, std::optional<at::Scalar>,
                           Attribute, Scalars, Attribute)>("onednn::qconv2d_pointwise", "binary");
  kConvolution.require(residual.is_quantized() == to.has_value(), "the residual must be of the result's type");
  const Affine from = affine_of(x), added = to ? affine_of(residual) : Affine{}, result = to.value_or(Affine{});
  kConvolution.require(from.zero_point == 0, "its input must have no zero point");
  const at::Tensor bytes = bytes_of(x), over = to ? bytes_of(residual) : residual;
  op.call(bytes, from.scale, 0, weight_for(bytes, from.scale), scale_, zero_points_, over, bias_, List(stride()), List(padding()), List(kNoDilation),
          1, result.scale, result.zero_point, to ? at::kByte : wide_, added.scale, added.zero_point, "sum", 1.0, "relu", Scalars(), "");
  return to ? as_quantized(over, result) : over;
}

}  // namespace cornernet
