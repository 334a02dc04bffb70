// The block layouts that the fused pair of poolings is compiled for.
#pragma once
#include "ops/cuda/corner_pool_pair_body.cuh"

namespace cornernet::cuda {

// Threads a multiprocessor must have for one fused kernel rather than two. A thread has 128 bytes in flight (two rows of both inputs, or one in
// fp32); an H100's 36 bytes a nanosecond a multiprocessor times 700 ns ask for 25 KB; two kernels move 5/3 of the memory, so 3/5 of that breaks even.
constexpr int kPairBusyThreads = 120;

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
