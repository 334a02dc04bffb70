#include "ops/cpu/corner_pool_kernel.h"

#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "ops/cpu/element.h"

namespace cornernet::cpu {
namespace {

// Neighbouring elements one task scans together: wide enough for full vectors, narrow enough that its running maxima stay in the L1 cache.
constexpr int64_t kLanes = 512;
// Channels of one task of a pair. Its horizontal maxima live in registers, its vertical ones (width x 64 floats) in the L2 cache.
constexpr int64_t kPairLanes = 64;
// Elements below which another thread costs more than it saves.
constexpr int64_t kGrain = 16384;

int64_t chunks_of(int64_t inner, int64_t lanes) { return (inner + lanes - 1) / lanes; }
int64_t grain_of(int64_t elements_a_task) { return std::max<int64_t>(1, kGrain / std::max<int64_t>(1, elements_a_task)); }

/// One row of a scan: y = max(x, previous row's y). Cloned for each vector width, picked once at load.
template <typename T>
[[gnu::always_inline]] inline void scan_row(const T* x, const T* previous, T* y, int64_t n) {
  using E = Element<T>;
  for (int64_t i = 0; i < n; ++i) y[i] = E::store(running_max(E::load(previous[i]), E::load(x[i])));
}

[[gnu::target_clones("arch=skylake-avx512", "avx2", "default")]] void scan_row_of(const float* x, const float* previous, float* y, int64_t n) {
  scan_row(x, previous, y, n);
}
[[gnu::target_clones("arch=skylake-avx512", "avx2", "default")]] void scan_row_of(const c10::BFloat16* x, const c10::BFloat16* previous,
                                                                                  c10::BFloat16* y, int64_t n) {
  scan_row(x, previous, y, n);
}
void scan_row_of(const double* x, const double* previous, double* y, int64_t n) { scan_row(x, previous, y, n); }
void scan_row_of(const c10::Half* x, const c10::Half* previous, c10::Half* y, int64_t n) { scan_row(x, previous, y, n); }

template <typename T>
void scan(const T* x, T* y, const ScanView& view) {
  const int64_t chunks = chunks_of(view.inner, kLanes);
  const int64_t step = view.reverse ? -view.inner : view.inner;
  const int64_t first_row = view.reverse ? (view.length - 1) * view.inner : 0;
  at::parallel_for(0, view.outer * chunks, grain_of(view.length * std::min(view.inner, kLanes)), [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t lane = task % chunks * kLanes;
      const int64_t n = std::min(kLanes, view.inner - lane);
      int64_t row = task / chunks * view.length * view.inner + first_row + lane;
      std::copy_n(x + row, n, y + row);
      for (int64_t i = 1; i < view.length; ++i) {
        row += step;
        scan_row_of(x + row, y + row - step, y + row, n);
      }
    }
  });
}

/// The latest position of the maximum so far collects the gradients until a later one takes over.
template <typename T>
void scan_backward(const T* grad_y, const T* x, T* grad_x, const ScanView& view) {
  using E = Element<T>;
  using Wide = typename E::Wide;
  constexpr int64_t kLines = 64;
  const int64_t chunks = chunks_of(view.inner, kLines);
  at::parallel_for(0, view.outer * chunks, grain_of(view.length * std::min(view.inner, kLines)), [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t lane = task % chunks * kLines;
      const int64_t n = std::min(kLines, view.inner - lane);
      const int64_t block = task / chunks * view.length * view.inner + lane;
      std::array<Wide, kLines> maximum{}, sum{};
      std::array<int64_t, kLines> owner{};
      for (int64_t i = 0; i < view.length; ++i) {
        const int64_t row = block + (view.reverse ? view.length - 1 - i : i) * view.inner;
        for (int64_t l = 0; l < n; ++l) {
          const Wide value = E::load(x[row + l]);
          if (i == 0 || value >= maximum[l] || value != value) {
            if (i > 0) grad_x[owner[l]] = E::store(sum[l]);
            maximum[l] = value;
            owner[l] = row + l;
            sum[l] = 0;
          }
          grad_x[row + l] = E::store(0);
          sum[l] += E::load(grad_y[row + l]);
        }
      }
      for (int64_t l = 0; l < n; ++l) grad_x[owner[l]] = E::store(sum[l]);
    }
  });
}

/// One position of a pair: both maxima move on and their sum is written.
template <typename T>
[[gnu::always_inline]] inline void pair_row(const T* a, const T* b, T* y, typename Element<T>::Wide* vertical, typename Element<T>::Wide* horizontal,
                                            int64_t n, int64_t width, int64_t first, int64_t step, int64_t vertical_step) {
  using E = Element<T>;
  for (int64_t column = 0; column < width; ++column) {
    const int64_t at = first + column * step;
    for (int64_t i = 0; i < n; ++i) {
      vertical[i] = running_max(vertical[i], E::load(a[at + i]));
      horizontal[i] = running_max(horizontal[i], E::load(b[at + i]));
      y[at + i] = E::store(vertical[i] + horizontal[i]);
    }
    vertical += vertical_step;
  }
}

[[gnu::target_clones("arch=skylake-avx512", "avx2", "default")]] void pair_row_of(const float* a, const float* b, float* y, float* __restrict v,
                                                                                  float* __restrict h, int64_t n, int64_t width, int64_t first,
                                                                                  int64_t step, int64_t vertical_step) {
  pair_row(a, b, y, v, h, n, width, first, step, vertical_step);
}
[[gnu::target_clones("arch=skylake-avx512", "avx2", "default")]] void pair_row_of(const c10::BFloat16* a, const c10::BFloat16* b, c10::BFloat16* y,
                                                                                  float* __restrict v, float* __restrict h, int64_t n, int64_t width,
                                                                                  int64_t first, int64_t step, int64_t vertical_step) {
  pair_row(a, b, y, v, h, n, width, first, step, vertical_step);
}
void pair_row_of(const double* a, const double* b, double* y, double* v, double* h, int64_t n, int64_t width, int64_t first, int64_t step,
                 int64_t vertical_step) {
  pair_row(a, b, y, v, h, n, width, first, step, vertical_step);
}
void pair_row_of(const c10::Half* a, const c10::Half* b, c10::Half* y, float* v, float* h, int64_t n, int64_t width, int64_t first, int64_t step,
                 int64_t vertical_step) {
  pair_row(a, b, y, v, h, n, width, first, step, vertical_step);
}

template <typename T>
void pair(const T* a, const T* b, T* y, const PairView& view) {
  using Wide = typename Element<T>::Wide;
  const int64_t chunks = chunks_of(view.channels, kPairLanes);
  const int64_t row_elements = view.width * view.channels;
  const int64_t step = view.reverse_columns ? -view.channels : view.channels;
  // -infinity is the maximum's neutral element, so that the first row and column need no case of their own.
  constexpr Wide kLowest = -std::numeric_limits<Wide>::infinity();
  at::parallel_for(0, view.batch * chunks, grain_of(view.height * row_elements / chunks), [&](int64_t begin, int64_t end) {
    std::vector<Wide> vertical(static_cast<size_t>(view.width * std::min(view.channels, kPairLanes)));
    std::array<Wide, kPairLanes> horizontal;
    for (int64_t task = begin; task < end; ++task) {
      const int64_t lane = task % chunks * kPairLanes;
      const int64_t n = std::min(kPairLanes, view.channels - lane);
      std::fill(vertical.begin(), vertical.end(), kLowest);
      for (int64_t i = 0; i < view.height; ++i) {
        horizontal.fill(kLowest);
        const int64_t row = (task / chunks * view.height + (view.reverse_rows ? view.height - 1 - i : i)) * row_elements + lane;
        const int64_t first = view.reverse_columns ? row + row_elements - view.channels : row;
        pair_row_of(a, b, y, vertical.data(), horizontal.data(), n, view.width, first, step, n);
      }
    }
  });
}

}  // namespace

void corner_pool(const at::Tensor& x, at::Tensor& y, const ScanView& view) {
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, x.scalar_type(), "corner_pool",
                                  [&] { scan(x.const_data_ptr<scalar_t>(), y.mutable_data_ptr<scalar_t>(), view); });
}

void corner_pool_backward(const at::Tensor& grad_y, const at::Tensor& x, at::Tensor& grad_x, const ScanView& view) {
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, x.scalar_type(), "corner_pool_backward", [&] {
    scan_backward(grad_y.const_data_ptr<scalar_t>(), x.const_data_ptr<scalar_t>(), grad_x.mutable_data_ptr<scalar_t>(), view);
  });
}

void corner_pool_pair(const at::Tensor& a, const at::Tensor& b, at::Tensor& y, const PairView& view) {
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, a.scalar_type(), "corner_pool_pair",
                                  [&] { pair(a.const_data_ptr<scalar_t>(), b.const_data_ptr<scalar_t>(), y.mutable_data_ptr<scalar_t>(), view); });
}

}  // namespace cornernet::cpu
