// The block layouts that the fused pair of poolings is compiled for.
#pragma once
#include "ops/cuda/corner_pool_pair_body.cuh"

namespace cornernet::cuda {

// Resident threads a multiprocessor needs for the fused kernel to hide memory's latency: two rows of 64 bytes in flight a thread make about the
// 25 KB that an H100's 36 bytes a nanosecond times 700 ns ask for.
constexpr int kPairBusyThreads = 128;

/// Columns and channels a thread, and rows a step, such that two steps of both inputs and the maxima fit 128 registers.
template <typename Raw>
struct PairTiles {
  static constexpr int kRows = sizeof(Raw) == 4 ? 1 : 2;
  using Wide = PairTile<4, 4, 8, kRows, false>;    // 64 or 128 bytes of a pixel
  using Narrow = PairTile<4, 4, 4, kRows, false>;  // 32 or 64 bytes: more blocks
  using Plane = PairTile<4, 1, 1, 4, true>;
  using PlaneLoose = PairTile<4, 1, 1, 4, false>;
};

}  // namespace cornernet::cuda
