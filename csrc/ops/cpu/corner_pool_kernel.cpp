#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "ops/cpu/element.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/sum.h"
#include "ops/cpu/widest_vectors.h"

namespace cornernet::cpu {
namespace {

// Neighbouring elements one task scans together: pages are crossed a few times only, and the previous row is still in the L1 cache.
constexpr int64_t kLanes = 1024;
// Rows one task scans together where a scan runs along memory: independent maxima hide one comparison's latency behind another.
constexpr int64_t kLines = 8;
// Elements below which another thread costs more than it saves.
constexpr int64_t kGrain = 16384;

int64_t ceil_div(int64_t n, int64_t d) { return (n + d - 1) / d; }
int64_t grain_of(int64_t elements_a_task) { return std::max<int64_t>(1, kGrain / std::max<int64_t>(1, elements_a_task)); }

/// What one task scans: `lanes` scans side by side.
struct Strip {
  int64_t first;  // offset of lane 0 at the scan's start
  int64_t step;   // from a position to the next in scan order
  int64_t length, lanes;
};

/// Runs scan(strip, lane_step) for all strips of a view, spread over threads; lane_step is a constant where the loop is to be vectorised.
template <typename Scan>
void for_every_strip(const ScanView& view, const Scan& scan) {
  const bool along_memory = view.inner == 1;
  const int64_t step = view.reverse ? -view.inner : view.inner;
  const int64_t start = view.reverse ? (view.length - 1) * view.inner : 0;
  const int64_t lanes = along_memory ? std::min(kLines, view.outer) : std::min(kLanes, view.inner);
  const int64_t strips_a_block = ceil_div(view.inner, lanes);
  const int64_t strips = along_memory ? ceil_div(view.outer, lanes) : view.outer * strips_a_block;
  at::parallel_for(0, strips, grain_of(view.length * lanes), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      if (along_memory) {
        scan(Strip{i * lanes * view.length + start, step, view.length, std::min(lanes, view.outer - i * lanes)}, view.length);
      } else {
        const int64_t lane = i % strips_a_block * lanes;
        const Strip strip{i / strips_a_block * view.length * view.inner + start + lane, step, view.length, std::min(lanes, view.inner - lane)};
        with_widest_vectors([&] { scan(strip, 1); });
      }
    }
  });
}

/// One position of a scan: y = max(previous, x).
template <typename T>
inline void scan_position(const T* __restrict x, const T* __restrict previous, T* __restrict y, int64_t lanes, int64_t lane_step) {
  using E = Element<T>;
  for (int64_t l = 0; l < lanes * lane_step; l += lane_step) y[l] = E::store_exact(running_max(E::load(previous[l]), E::load(x[l])));
}

template <typename T>
inline void scan_strip(const T* x, T* y, const Strip& strip, int64_t lane_step) {
  int64_t at = strip.first;
  for (int64_t l = 0; l < strip.lanes; ++l) y[at + l * lane_step] = x[at + l * lane_step];
  for (int64_t i = 1; i < strip.length; ++i, at += strip.step) {
    scan_position(x + at + strip.step, y + at, y + at + strip.step, strip.lanes, lane_step);
  }
}

template <typename T>
void scan(const T* x, T* y, const ScanView& view) {
  for_every_strip(view, [=](const Strip& strip, int64_t lane_step) { scan_strip(x, y, strip, lane_step); });
}

/// One position on the way back: gradients are gathered until the position where the maximum was taken over.
template <typename T, typename Wide>
inline void gather_position(const T* __restrict grad_y, const T* __restrict x, const T* __restrict previous, T* __restrict grad_x,
                            Wide* __restrict sums, int64_t lanes, int64_t lane_step) {
  using E = Element<T>;
  for (int64_t l = 0; l < lanes; ++l) {
    const int64_t at = l * lane_step;
    const Wide sum = sums[l] + E::load(grad_y[at]);
    const bool taken = takes_over(E::load(x[at]), E::load(previous[at]));
    grad_x[at] = E::store(taken ? sum : Wide{0});
    sums[l] = taken ? Wide{0} : sum;
  }
}

/// grad_x first holds the maxima; walking back, a gradient takes a maximum's place once the position after it has read it.
template <typename T>
inline void backward_strip(const T* grad_y, const T* x, T* grad_x, const Strip& strip, int64_t lane_step) {
  using E = Element<T>;
  using Wide = typename E::Wide;
  scan_strip(x, grad_x, strip, lane_step);
  std::array<Wide, kLanes> sums;
  std::fill_n(sums.begin(), strip.lanes, Wide{0});
  int64_t at = strip.first + (strip.length - 1) * strip.step;
  for (int64_t i = strip.length - 1; i > 0; --i, at -= strip.step) {
    gather_position(grad_y + at, x + at, grad_x + at - strip.step, grad_x + at, sums.data(), strip.lanes, lane_step);
  }
  for (int64_t l = 0; l < strip.lanes; ++l) grad_x[at + l * lane_step] = E::store(sums[l] + E::load(grad_y[at + l * lane_step]));
}

template <typename T>
void scan_backward(const T* grad_y, const T* x, T* grad_x, const ScanView& view) {
  for_every_strip(view, [=](const Strip& strip, int64_t lane_step) { backward_strip(grad_y, x, grad_x, strip, lane_step); });
}

/// The maximum's neutral element, so that a scan's first position needs no case of its own.
template <typename Wide>
constexpr Wide kLowest = std::numeric_limits<Wide>::has_infinity ? -std::numeric_limits<Wide>::infinity() : std::numeric_limits<Wide>::lowest();

/// One position of a scan whose maxima are added to what y holds.
template <typename T, typename Wide, typename Add>
inline void add_position(const T* __restrict x, Wide* __restrict maxima, T* __restrict y, int64_t lanes, int64_t lane_step, const Add& add) {
  using E = Element<T>;
  for (int64_t l = 0; l < lanes; ++l) {
    maxima[l] = running_max(maxima[l], E::load(x[l * lane_step]));
    y[l * lane_step] = add(E::load(y[l * lane_step]), maxima[l]);
  }
}

template <typename T, typename Add>
inline void add_strip(const T* x, T* y, const Strip& strip, int64_t lane_step, const Add& add) {
  using Wide = typename Element<T>::Wide;
  std::array<Wide, kLanes> maxima;
  std::fill_n(maxima.begin(), strip.lanes, kLowest<Wide>);
  int64_t at = strip.first;
  for (int64_t i = 0; i < strip.length; ++i, at += strip.step) add_position(x + at, maxima.data(), y + at, strip.lanes, lane_step, add);
}

/// Fewer pictures than threads, or planes of one channel: y first holds the pooling of a, exactly as every type holds a maximum, and is then added to
/// from the cache.
template <typename T, typename Add>
void pair_by_strips(const T* a, const T* b, T* y, const PairView& view, const Add& add) {
  const PairScans scans = scans_of(view);
  scan(a, y, scans.vertical);
  for_every_strip(scans.horizontal, [=](const Strip& strip, int64_t lane_step) { add_strip(b, y, strip, lane_step, add); });
}

/// One pixel of a channels-last pair: both maxima move on and their sum is written.
template <typename T, typename Wide, typename Add>
inline void pair_pixel(const T* __restrict a, const T* __restrict b, T* __restrict y, Wide* __restrict vertical, Wide* __restrict horizontal,
                       int64_t channels, const Add& add) {
  using E = Element<T>;
  for (int64_t c = 0; c < channels; ++c) {
    vertical[c] = running_max(vertical[c], E::load(a[c]));
    horizontal[c] = running_max(horizontal[c], E::load(b[c]));
    y[c] = add(vertical[c], horizontal[c]);
  }
}

/// A channels-last picture in one pass. `maxima` holds width + 1 pixels: one a column, and the row's own.
template <typename T, typename Wide, typename Add>
inline void pair_picture(const T* a, const T* b, T* y, const PairView& view, Wide* maxima, const Add& add) {
  const int64_t c = view.channels;
  Wide* const horizontal = maxima + view.width * c;
  std::fill_n(maxima, view.width * c, kLowest<Wide>);
  for (int64_t i = 0; i < view.height; ++i) {
    const int64_t row = (view.reverse_rows ? view.height - 1 - i : i) * view.width;
    std::fill_n(horizontal, c, kLowest<Wide>);
    for (int64_t k = 0; k < view.width; ++k) {
      const int64_t column = view.reverse_columns ? view.width - 1 - k : k, at = (row + column) * c;
      pair_pixel(a + at, b + at, y + at, maxima + column * c, horizontal, c, add);
    }
  }
}

template <typename T, typename Add>
void pair_pictures(const T* a, const T* b, T* y, const PairView& view, const Add& add) {
  const int64_t picture = view.height * view.width * view.channels;
  at::parallel_for(0, view.batch, grain_of(picture), [&](int64_t begin, int64_t end) {
    std::vector<typename Element<T>::Wide> maxima(static_cast<size_t>((view.width + 1) * view.channels));
    for (int64_t i = begin; i < end; ++i) {
      with_widest_vectors([&] { pair_picture(a + i * picture, b + i * picture, y + i * picture, view, maxima.data(), add); });
    }
  });
}

template <typename T, typename Add>
void pair(const at::Tensor& a, const at::Tensor& b, at::Tensor& y, const PairView& view, const Add& add) {
  auto* const whole = view.batch < at::get_num_threads() || view.channels == 1 ? pair_by_strips<T, Add> : pair_pictures<T, Add>;
  whole(a.const_data_ptr<T>(), b.const_data_ptr<T>(), y.mutable_data_ptr<T>(), view, add);
}

}  // namespace

void corner_pool(const at::Tensor& x, const ScanView& view, at::Tensor& y) {
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, x.scalar_type(), "corner_pool",
                                  [&] { scan(x.const_data_ptr<scalar_t>(), y.mutable_data_ptr<scalar_t>(), view); });
}

void corner_pool_backward(const at::Tensor& grad_y, const at::Tensor& x, const ScanView& view, at::Tensor& grad_x) {
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, x.scalar_type(), "corner_pool_backward", [&] {
    scan_backward(grad_y.const_data_ptr<scalar_t>(), x.const_data_ptr<scalar_t>(), grad_x.mutable_data_ptr<scalar_t>(), view);
  });
}

void corner_pool_pair(const at::Tensor& a, const at::Tensor& b, const PairView& view, at::Tensor& y) {
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, a.scalar_type(), "corner_pool_pair",
                                  [&] { pair<scalar_t>(a, b, y, view, Sum<scalar_t>()); });
}

void corner_pool_pair_bytes(const at::Tensor& a, float factor_a, const at::Tensor& b, float factor_b, const PairView& view, at::Tensor& y) {
  pair<uint8_t>(a, b, y, view, ByteSum{factor_a, factor_b});
}

}  // namespace cornernet::cpu
