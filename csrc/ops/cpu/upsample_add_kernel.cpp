#include "ops/cpu/upsample_add_kernel.h"

#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "ops/cpu/element.h"

namespace cornernet::cpu {
namespace {

template <typename T>
[[gnu::always_inline]] inline void add(const T* low, const T* skip, T* y, int64_t n) {
  using E = Element<T>;
  for (int64_t i = 0; i < n; ++i) y[i] = E::store(E::load(skip[i]) + E::load(low[i]));
}

[[gnu::target_clones("arch=skylake-avx512", "avx2", "default")]] void add_of(const float* low, const float* skip, float* y, int64_t n) {
  add(low, skip, y, n);
}
[[gnu::target_clones("arch=skylake-avx512", "avx2", "default")]] void add_of(const c10::BFloat16* low, const c10::BFloat16* skip, c10::BFloat16* y,
                                                                             int64_t n) {
  add(low, skip, y, n);
}
void add_of(const double* low, const double* skip, double* y, int64_t n) { add(low, skip, y, n); }
void add_of(const c10::Half* low, const c10::Half* skip, c10::Half* y, int64_t n) { add(low, skip, y, n); }

template <typename T>
void upsample_rows(const T* low, const T* skip, T* y, const UpsampleView& view) {
  const int64_t c = view.channels;
  const float scale_y = nearest_scale(view.low_height, view.height), scale_x = nearest_scale(view.low_width, view.width);
  at::parallel_for(0, view.batch * view.height, std::max<int64_t>(1, 16384 / (view.width * c)), [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t low_row = task / view.height * view.low_height + nearest_source(task % view.height, scale_y, view.low_height);
      const T* from = low + low_row * view.low_width * c;
      for (int64_t x = 0; x < view.width; ++x) {
        const int64_t at = (task * view.width + x) * c;
        add_of(from + nearest_source(x, scale_x, view.low_width) * c, skip + at, y + at, c);
      }
    }
  });
}

}  // namespace

void upsample_add(const at::Tensor& low, const at::Tensor& skip, at::Tensor& y, const UpsampleView& view) {
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, skip.scalar_type(), "upsample_add", [&] {
    upsample_rows(low.const_data_ptr<scalar_t>(), skip.const_data_ptr<scalar_t>(), y.mutable_data_ptr<scalar_t>(), view);
  });
}

}  // namespace cornernet::cpu
