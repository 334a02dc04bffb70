#include "ops/fold_norm.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include "ops/cpu/element.h"

namespace cornernet {
namespace {

template <typename T>
[[gnu::always_inline]] inline void scale_row(const float* in, double by, T* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = cpu::Element<T>::store(static_cast<float>(in[i] * by));
}

[[gnu::target_clones("arch=skylake-avx512", "avx2", "default")]] void scale_row_of(const float* in, double by, float* out, int64_t n) {
  scale_row(in, by, out, n);
}
[[gnu::target_clones("arch=skylake-avx512", "avx2", "default")]] void scale_row_of(const float* in, double by, c10::BFloat16* out, int64_t n) {
  scale_row(in, by, out, n);
}
void scale_row_of(const float* in, double by, c10::Half* out, int64_t n) { scale_row(in, by, out, n); }

}  // namespace

at::Tensor scale_outputs(const at::Tensor& weight, const at::Tensor& scale, at::ScalarType dtype) {
  const at::Tensor from = weight.to(at::kFloat).contiguous();
  at::Tensor to = at::empty(from.sizes(), at::TensorOptions(dtype));
  const int64_t outputs = from.size(0), each = from.numel() / outputs;
  const float* in = from.const_data_ptr<float>();
  const double* by = scale.const_data_ptr<double>();
  const auto scale_all = [&](auto* out) {
    at::parallel_for(0, outputs, 1, [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; ++o) scale_row_of(in + o * each, by[o], out + o * each, each);
    });
  };
  if (dtype == at::kBFloat16) {
    scale_all(to.mutable_data_ptr<c10::BFloat16>());
  } else if (dtype == at::kHalf) {
    scale_all(to.mutable_data_ptr<c10::Half>());
  } else {
    scale_all(to.mutable_data_ptr<float>());
  }
  return to;
}

}  // namespace cornernet
