// What the scans' bodies share: the neutral element, and a warp's scan.
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

}  // namespace cornernet::cuda
