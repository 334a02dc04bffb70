// The bodies of corner pooling's kernels. Backward, a maximum's latest position collects the gradients until a later one takes over.
#pragma once
#include "ops/cuda/element.h"
#include "ops/scan_view.h"

namespace cornernet::cuda {

/// The neutral element: -infinity, by its bits (NVRTC has neither <limits> nor INFINITY).
CORNERNET_DEVICE float lowest() { return __builtin_bit_cast(float, 0xff800000u); }

/// A warp's scan of values kStride lanes apart: the maximum up to and with this lane's; `before` gets the one without it.
template <int kStride, typename Context>
CORNERNET_DEVICE float scan_warp(Context& context, float value, float& before) {
  const int lane = context.thread() % kWarp;
#pragma unroll
  for (int distance = kStride; distance < kWarp; distance *= 2) {
    const float earlier = context.shuffle_up(value, distance);
    if (lane >= distance) value = running_max(earlier, value);
  }
  const float neighbour = context.shuffle_up(value, kStride);
  before = lane < kStride ? lowest() : neighbour;
  return value;
}

constexpr int kColumnRows = 8;       // rows a thread of scan_columns holds in registers
constexpr int kColumnLanes = 4;      // neighbours a thread of scan_columns at most: 8 would spill
constexpr int kColumnSegments = 16;  // warps of a block of scan_columns at most
constexpr int kScanRows = 4;         // rows a warp of scan_rows holds in registers
constexpr int kScanRowsThreads = 256;
constexpr int kBackwardThreads = 256;

/// Bytes of shared memory of a block of scan_columns: two buffers of one pack a thread.
constexpr int scan_columns_shared_bytes(int threads, int pack_bytes) { return 2 * threads * pack_bytes; }

/// A scan over rows of `inner` > 1 neighbours, kLanes to a thread. y = pooled x (+ addend, which may be y itself).
/// Memory: a block takes a strip of 32 * kLanes columns over all rows, 8 neighbouring rows to a warp; each warp reads and writes whole lines of
/// 128 to 512 bytes, every element once, all loads of 128 rows in flight at once.
/// Cost: one sync and at most 16 reads of shared memory for 8 rows.
template <Scalar kScalar, int kLanes, bool kAdd, typename Context, typename Raw = typename Element<kScalar>::Raw>
CORNERNET_DEVICE void scan_columns(Context& context, const Raw* x, const Raw* addend, Raw* y, const ScanView& view) {
  using E = Element<kScalar>;
  using Lanes = Pack<Raw, kLanes>;
  const int lane = context.thread() % kWarp, warp = context.thread() / kWarp, warps = context.threads() / kWarp;
  const int64_t strips = (view.inner + kWarp * kLanes - 1) / (kWarp * kLanes);
  const int64_t column = (context.block() % strips * kWarp + lane) * kLanes;
  const int64_t block = context.block() / strips * view.length, step = view.reverse ? -view.inner : view.inner;
  const bool inside = column < view.inner;
  Lanes* const totals = reinterpret_cast<Lanes*>(context.shared());
  float carry[kLanes];
#pragma unroll
  for (int l = 0; l < kLanes; ++l) carry[l] = lowest();

  int buffer = 0;
  for (int64_t chunk = 0; chunk < view.length; chunk += warps * kColumnRows, buffer ^= 1) {
    const int64_t first = chunk + warp * kColumnRows;
    const int64_t start = (block + (view.reverse ? view.length - 1 - first : first)) * view.inner + column;
    Lanes rows[kColumnRows];
#pragma unroll
    for (int r = 0; r < kColumnRows; ++r) {
      if (inside && first + r < view.length) {
        rows[r] = load_pack<kLanes>(x + start + r * step);
      } else {
#pragma unroll
        for (int l = 0; l < kLanes; ++l) rows[r].set(l, E::store(lowest()));
      }
    }
#pragma unroll
    for (int l = 0; l < kLanes; ++l) {
      float maximum = lowest();
#pragma unroll
      for (int r = 0; r < kColumnRows; ++r) {
        maximum = running_max(maximum, E::load(rows[r].get(l)));
        rows[r].set(l, E::store(maximum));
      }
    }
    // Two buffers make one sync enough: a warp writes the next chunk's totals elsewhere than where others still read this one's.
    Lanes* const shared = totals + buffer * warps * kWarp;
    shared[warp * kWarp + lane] = rows[kColumnRows - 1];
    context.sync();
    float before[kLanes];
#pragma unroll
    for (int l = 0; l < kLanes; ++l) before[l] = carry[l];
    const bool last_chunk = chunk + warps * kColumnRows >= view.length;
    for (int w = 0; w < (last_chunk ? warp : warps); ++w) {
      const Lanes total = shared[w * kWarp + lane];
#pragma unroll
      for (int l = 0; l < kLanes; ++l) {
        carry[l] = running_max(carry[l], E::load(total.get(l)));
        if (w < warp) before[l] = carry[l];
      }
    }
#pragma unroll
    for (int r = 0; r < kColumnRows; ++r) {
      if (!inside || first + r >= view.length) continue;
      const int64_t at = start + r * step;
      Lanes added{};
      if (kAdd) added = load_pack<kLanes>(addend + at);
#pragma unroll
      for (int l = 0; l < kLanes; ++l) {
        const float maximum = running_max(before[l], E::load(rows[r].get(l)));
        rows[r].set(l, E::store(kAdd ? E::load(added.get(l)) + maximum : maximum));
      }
      store_pack(y + at, rows[r]);
    }
  }
}

/// A scan along contiguous rows (inner 1). y = pooled x (+ addend, which may be y itself).
/// Memory: a warp reads and writes 4 rows, 32 * kLanes neighbours of each at a time, every element once (kLanes > 1 needs aligned rows).
/// Cost: 7 shuffles for 32 * kLanes elements.
template <Scalar kScalar, int kLanes, bool kAdd, typename Context, typename Raw = typename Element<kScalar>::Raw>
CORNERNET_DEVICE void scan_rows(Context& context, const Raw* x, const Raw* addend, Raw* y, const ScanView& view) {
  using E = Element<kScalar>;
  const int lane = context.thread() % kWarp;
  const int64_t warp = static_cast<int64_t>(context.block()) * (context.threads() / kWarp) + context.thread() / kWarp;
  float carry[kScanRows];
#pragma unroll
  for (int r = 0; r < kScanRows; ++r) carry[r] = lowest();

  for (int64_t chunk = 0; chunk < view.length; chunk += kWarp * kLanes) {
    const int64_t first = chunk + lane * kLanes;  // in scan order
    const int64_t column = view.reverse ? view.length - first - kLanes : first;
    float values[kScanRows][kLanes];
#pragma unroll
    for (int r = 0; r < kScanRows; ++r) {
      const int64_t row = warp * kScanRows + r;
      const bool inside = first < view.length && row < view.outer;
      Pack<Raw, kLanes> pack{};
      if (inside) pack = load_pack<kLanes>(x + row * view.length + column);
#pragma unroll
      for (int l = 0; l < kLanes; ++l) values[r][l] = inside ? E::load(view.reverse ? pack.get(kLanes - 1 - l) : pack.get(l)) : lowest();
    }
#pragma unroll
    for (int r = 0; r < kScanRows; ++r) {
#pragma unroll
      for (int l = 1; l < kLanes; ++l) values[r][l] = running_max(values[r][l - 1], values[r][l]);
      float before;
      const float total = scan_warp<1>(context, values[r][kLanes - 1], before);
      before = running_max(carry[r], before);
      carry[r] = running_max(carry[r], context.shuffle(total, kWarp - 1));
#pragma unroll
      for (int l = 0; l < kLanes; ++l) values[r][l] = running_max(before, values[r][l]);
    }
#pragma unroll
    for (int r = 0; r < kScanRows; ++r) {
      const int64_t row = warp * kScanRows + r;
      if (first >= view.length || row >= view.outer) continue;
      const int64_t at = row * view.length + column;
      Pack<Raw, kLanes> pack{}, added{};
      if (kAdd) added = load_pack<kLanes>(addend + at);
#pragma unroll
      for (int l = 0; l < kLanes; ++l) {
        const float maximum = view.reverse ? values[r][kLanes - 1 - l] : values[r][l];
        pack.set(l, E::store(kAdd ? E::load(added.get(l)) + maximum : maximum));
      }
      store_pack(y + at, pack);
    }
  }
}

/// A scan over rows of `inner` neighbours, a thread to each.
/// Memory: neighbouring threads take neighbouring columns (of which training's maps, channels-last, have many); x and grad_y are read once, grad_x is
/// written once, a maximum's own place late. Cost: a comparison and an addition an element.
template <Scalar kScalar, typename Context, typename Raw = typename Element<kScalar>::Raw>
CORNERNET_DEVICE void scan_backward(Context& context, const Raw* grad_y, const Raw* x, Raw* grad_x, const ScanView& view) {
  using E = Element<kScalar>;
  const int64_t line = static_cast<int64_t>(context.block()) * context.threads() + context.thread();
  if (line >= view.outer * view.inner) return;
  const int64_t step = view.reverse ? -view.inner : view.inner;
  int64_t at = line / view.inner * view.length * view.inner + line % view.inner + (view.reverse ? (view.length - 1) * view.inner : 0);
  int64_t owner = at;
  float maximum = lowest(), sum = 0.f;
#pragma unroll 4
  for (int64_t i = 0; i < view.length; ++i, at += step) {
    const float value = E::load(x[at]), grad = E::load(grad_y[at]);
    if (i > 0 && takes_over(value, maximum)) {
      grad_x[owner] = E::store(sum);
      owner = at;
      sum = 0.f;
    } else if (i > 0) {
      grad_x[at] = E::store(0.f);
    }
    maximum = running_max(maximum, value);
    sum += grad;
  }
  grad_x[owner] = E::store(sum);
}

}  // namespace cornernet::cuda
