#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>

#include "ops/cpu/element.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/rounding.h"
#include "ops/cpu/widest_vectors.h"

namespace cornernet::cpu {
namespace {

constexpr int64_t kGrain = 16384;

/// to[i] = convert(from[i]), spread over threads.
template <typename From, typename To, typename Convert>
void each_element(const From* from, To* to, int64_t count, const Convert& convert) {
  at::parallel_for(0, count, kGrain, [&](int64_t begin, int64_t end) {
    with_widest_vectors([&] {
      const From* __restrict in = from;
      To* __restrict out = to;
      for (int64_t i = begin; i < end; ++i) out[i] = convert(in[i]);
    });
  });
}

}  // namespace

void quantize(const at::Tensor& x, float factor, float zero_point, at::Tensor& bytes) {
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, x.scalar_type(), "quantize", [&] {
    using E = Element<scalar_t>;
    each_element(x.const_data_ptr<scalar_t>(), bytes.mutable_data_ptr<uint8_t>(), x.numel(),
                 [=](scalar_t value) { return to_byte(static_cast<float>(E::load(value)) * factor + zero_point); });
  });
}

void dequantize(const at::Tensor& bytes, float scale, float zero_point, at::Tensor& y) {
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, y.scalar_type(), "dequantize", [&] {
    using E = Element<scalar_t>;
    each_element(bytes.const_data_ptr<uint8_t>(), y.mutable_data_ptr<scalar_t>(), y.numel(),
                 [=](uint8_t byte) { return E::store((static_cast<float>(byte) - zero_point) * scale); });
  });
}

void quantize_weight(const at::Tensor& weight, const at::Tensor& scale, at::Tensor& rounded) {
  const int64_t outputs = weight.size(0), each = weight.numel() / outputs;
  const float *const from = weight.const_data_ptr<float>(), *const by = scale.const_data_ptr<float>();
  int8_t* const to = rounded.mutable_data_ptr<int8_t>();
  for (int64_t o = 0; o < outputs; ++o) {
    each_element(from + o * each, to + o * each, each,
                 [divisor = by[o]](float value) { return static_cast<int8_t>(round_within(value / divisor, -127.f, 127.f)); });
  }
}

}  // namespace cornernet::cpu
