// The bodies of corner pooling's backward kernels: a maximum's latest position collects the gradients until a later one takes over.
#pragma once
#include "ops/cuda/running_max.cuh"
#include "ops/scan_view.h"

namespace cornernet::cuda {

constexpr int kBackwardThreads = 256;

/// A scan over rows of `inner` > 1 neighbours, a thread to each.
/// Memory: neighbouring threads take neighbouring columns; x and grad_y are read once, grad_x is written once, a maximum's own place late.
/// Cost: a comparison and an addition an element.
template <Scalar kScalar, typename Context, typename Raw = typename Element<kScalar>::Raw>
CORNERNET_DEVICE void backward_columns(Context& context, const Raw* grad_y, const Raw* x, Raw* grad_x, const ScanView& view) {
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

/// A scan along contiguous rows (inner 1), a warp to each.
/// Memory: a warp reads 32 neighbours of x and grad_y at a time, each once, and writes grad_x once, the maximum of an earlier chunk late.
/// Cost: 17 shuffles and a ballot for 32 elements.
template <Scalar kScalar, typename Context, typename Raw = typename Element<kScalar>::Raw>
CORNERNET_DEVICE void backward_rows(Context& context, const Raw* grad_y, const Raw* x, Raw* grad_x, const ScanView& view) {
  using E = Element<kScalar>;
  const int lane = context.thread() % kWarp;
  const int64_t row = static_cast<int64_t>(context.block()) * (context.threads() / kWarp) + context.thread() / kWarp;
  if (row >= view.outer) return;  // a whole warp leaves
  int64_t owner = -1;             // of what the chunks so far have not given away yet
  float carry = lowest(), owned = 0.f;
  for (int64_t chunk = 0; chunk < view.length; chunk += kWarp) {
    const int64_t i = chunk + lane;
    const bool inside = i < view.length;
    const int64_t at = row * view.length + (view.reverse ? view.length - 1 - i : i);
    const float value = inside ? E::load(x[at]) : lowest();
    float before;
    const float total = scan_warp<1>(context, value, before);
    before = running_max(carry, before);
    carry = running_max(carry, context.shuffle(total, kWarp - 1));
    const bool record = inside && takes_over(value, before);
    const unsigned records = context.ballot(record);

    // sum: of this lane's gradient and its successors' up to the next record. open: no record among those added so far.
    float sum = inside ? E::load(grad_y[at]) : 0.f;
    const unsigned later = lane == kWarp - 1 ? 0u : records >> (lane + 1);
#pragma unroll
    for (int distance = 1; distance < kWarp; distance *= 2) {
      const float further = context.shuffle_down(sum, distance);
      const bool open = (later & ((1u << distance) - 1u)) == 0u;
      if (open && lane + distance < kWarp) sum += further;
    }
    const float leading = context.shuffle(sum, 0);
    if ((records & 1u) == 0u) owned += leading;
    if (records != 0u) {
      if (owner >= 0 && lane == 0) grad_x[owner] = E::store(owned);
      int last = kWarp - 1;
      while ((records >> last & 1u) == 0u) --last;
      owner = row * view.length + (view.reverse ? view.length - 1 - chunk - last : chunk + last);
      owned = context.shuffle(sum, last);
      if (record && lane != last) grad_x[at] = E::store(sum);
    }
    if (inside && !record) grad_x[at] = E::store(0.f);
  }
  if (lane == 0 && owner >= 0) grad_x[owner] = E::store(owned);
}

}  // namespace cornernet::cuda
