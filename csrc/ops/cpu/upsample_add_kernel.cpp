#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#include "ops/cpu/element.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/sum.h"
#include "ops/cpu/widest_vectors.h"

namespace cornernet::cpu {
namespace {

template <typename T, typename Add>
inline void add_pixel(const T* __restrict low, const T* __restrict skip, T* __restrict y, int64_t channels, const Add& add) {
  using E = Element<T>;
  for (int64_t c = 0; c < channels; ++c) y[c] = add(E::load(low[c]), E::load(skip[c]));
}

/// One row: pixel x takes the smaller map's pixel sources[x]. `channels` is a constant for planes.
template <typename T, typename Add>
inline void add_row(const T* low, const T* __restrict skip, T* __restrict y, const int32_t* __restrict sources, int64_t width, int64_t channels,
                    const Add& add) {
  using E = Element<T>;
  if (channels == 1) {
    for (int64_t x = 0; x < width; ++x) y[x] = add(E::load(low[sources[x]]), E::load(skip[x]));
    return;
  }
  for (int64_t x = 0; x < width; ++x) add_pixel(low + sources[x] * channels, skip + x * channels, y + x * channels, channels, add);
}

template <typename T, typename Add>
void upsample_rows(const T* low, const T* skip, T* y, const UpsampleView& view, const Add& add) {
  const float scale_y = nearest_scale(view.low_height, view.height), scale_x = nearest_scale(view.low_width, view.width);
  std::vector<int32_t> sources(static_cast<size_t>(view.width));
  for (int64_t x = 0; x < view.width; ++x) sources[x] = static_cast<int32_t>(nearest_source(x, scale_x, view.low_width));
  const int64_t row = view.width * view.channels;
  at::parallel_for(0, view.batch * view.height, std::max<int64_t>(1, 16384 / row), [&](int64_t begin, int64_t end) {
    with_widest_vectors([&] {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t low_row = i / view.height * view.low_height + nearest_source(i % view.height, scale_y, view.low_height);
        add_row(low + low_row * view.low_width * view.channels, skip + i * row, y + i * row, sources.data(), view.width, view.channels, add);
      }
    });
  });
}

}  // namespace

void upsample_add(const at::Tensor& low, const at::Tensor& skip, const UpsampleView& view, at::Tensor& y) {
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, skip.scalar_type(), "upsample_add", [&] {
    upsample_rows(low.const_data_ptr<scalar_t>(), skip.const_data_ptr<scalar_t>(), y.mutable_data_ptr<scalar_t>(), view, Sum<scalar_t>());
  });
}

void upsample_add_bytes(const at::Tensor& low, float factor_low, const at::Tensor& skip, float factor_skip, const UpsampleView& view, at::Tensor& y) {
  upsample_rows(low.const_data_ptr<uint8_t>(), skip.const_data_ptr<uint8_t>(), y.mutable_data_ptr<uint8_t>(), view, ByteSum{factor_low, factor_skip});
}

}  // namespace cornernet::cpu
