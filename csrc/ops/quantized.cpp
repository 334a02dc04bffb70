#include "ops/quantized.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/quantized/QTensorImpl.h>

#include <string>
#include <utility>

#include "ops/cpu/kernels.h"
#include "ops/dispatch.h"
#include "runtime/error.h"

namespace cornernet {
namespace {

constexpr InputOf kBytes{"maps of 8 bits"};

template <typename Impl, typename... Further>
at::Tensor same_memory(const at::Tensor& from, c10::DispatchKey key, caffe2::TypeMeta type, Further&&... further) {
  at::Tensor view = at::detail::make_tensor<Impl>(c10::Storage(from.storage()), c10::DispatchKeySet(key), type, std::forward<Further>(further)...);
  view.unsafeGetTensorImpl()->set_storage_offset(from.storage_offset());
  view.unsafeGetTensorImpl()->set_sizes_and_strides(from.sizes(), from.strides());
  return view;
}

}  // namespace

at::Tensor as_quantized(const at::Tensor& bytes, const Affine& affine) {
  kBytes.require(bytes.is_cpu() && bytes.scalar_type() == at::kByte, "the bytes must be uint8 on the CPU");
  return same_memory<at::QTensorImpl>(bytes, c10::DispatchKey::QuantizedCPU, caffe2::TypeMeta::Make<c10::quint8>(),
                                      at::make_per_tensor_affine_quantizer(affine.scale, affine.zero_point, at::kQUInt8));
}

at::Tensor bytes_of(const at::Tensor& map) {
  kBytes.require(map.is_quantized() && map.scalar_type() == at::kQUInt8, "this is none");
  return same_memory<c10::TensorImpl>(map, c10::DispatchKey::CPU, caffe2::TypeMeta::Make<uint8_t>());
}

Affine affine_of(const at::Tensor& map) { return {map.q_scale(), map.q_zero_point()}; }

float factor_to(const at::Tensor& map, const Affine& sum) { return static_cast<float>(map.q_scale() / sum.scale); }

at::Tensor quantize(const at::Tensor& input, const Affine& affine) {
  kBytes.require(input.is_cpu() && (input.scalar_type() == at::kFloat || input.scalar_type() == at::kBFloat16),
                 "only fp32 and bf16 on the CPU become such");
  const at::Tensor x = input.contiguous(format_of(input));
  at::Tensor bytes = at::empty_like(x, x.options().dtype(at::kByte));
  cpu::quantize(x, static_cast<float>(1 / affine.scale), static_cast<float>(affine.zero_point), bytes);
  return as_quantized(bytes, affine);
}

at::Tensor dequantize(const at::Tensor& map, at::ScalarType dtype) {
  kBytes.require(dtype == at::kFloat || dtype == at::kBFloat16, "they only become fp32 and bf16");
  const at::Tensor bytes = bytes_of(map), dense = bytes.contiguous(format_of(bytes));
  at::Tensor y = at::empty_like(dense, dense.options().dtype(dtype));
  const Affine affine = affine_of(map);
  cpu::dequantize(dense, static_cast<float>(affine.scale), static_cast<float>(affine.zero_point), y);
  return y;
}

at::Tensor quantize_weight(const at::Tensor& weight, const at::Tensor& scale) {
  kBytes.require(weight.scalar_type() == at::kFloat && weight.is_contiguous() && scale.scalar_type() == at::kFloat,
                 "weights and scales must be fp32");
  kBytes.require(scale.numel() == weight.size(0), "there must be one scale for each output");
  at::Tensor rounded = at::empty(weight.sizes(), weight.options().dtype(at::kChar));
  cpu::quantize_weight(weight, scale.contiguous(), rounded);
  return rounded;
}

}  // namespace cornernet
