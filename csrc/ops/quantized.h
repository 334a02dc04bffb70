// Maps in 8 bits: LibTorch's quint8 tensors, which carry what turns their bytes into numbers, and the ways to and from the wider types.
#pragma once
#include <ATen/core/Tensor.h>

namespace cornernet {

/// number = scale * (byte - zero_point), bytes 0 to 255.
struct Affine {
  double scale = 1;
  int64_t zero_point = 0;
};

/// The same memory as a map of 8 bits. bytes: uint8, on the CPU.
at::Tensor as_quantized(const at::Tensor& bytes, const Affine& affine);
/// The same memory as uint8.
at::Tensor bytes_of(const at::Tensor& map);
/// Of a map of 8 bits.
Affine affine_of(const at::Tensor& map);
/// By which a byte of a map without a zero point is multiplied to become a part of `sum`'s byte.
float factor_to(const at::Tensor& map, const Affine& sum);

/// To the nearest, ties to even, in fp32: x * (1 / scale) + zero_point; what lies beyond 0 and 255 becomes them, NaN becomes 0. x: fp32 or bf16 on
/// the CPU, contiguous or channels-last, which the result is too.
at::Tensor quantize(const at::Tensor& x, const Affine& affine);
/// dtype: fp32 or bf16.
at::Tensor dequantize(const at::Tensor& map, at::ScalarType dtype);

/// round(weight[o, ...] / scale[o]) as int8 within -127 and 127, ties to even. weight: fp32 [out, ...]; scale: fp32 [out], above 0.
at::Tensor quantize_weight(const at::Tensor& weight, const at::Tensor& scale);

}  // namespace cornernet
