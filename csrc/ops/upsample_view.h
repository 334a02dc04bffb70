// How upsampling's two maps lie in memory, and which pixel of the smaller one each pixel of the larger one repeats.
#pragma once
#include "ops/fixed_width.h"

namespace cornernet {

/// `batch` planes of height x width positions of `channels` neighbours (NCHW: batch N*C, one channel).
struct UpsampleView {
  int64_t batch, low_height, low_width, height, width, channels;
};

/// Pixels of the smaller map a pixel of the larger one, in fp32: torch's own precision, which decides at odd sizes.
constexpr float nearest_scale(int64_t low_size, int64_t size) { return static_cast<float>(low_size) / static_cast<float>(size); }

/// torch's rule for nearest: rounded down, and never past the end.
template <typename Index>
constexpr Index nearest_source(Index i, float scale, Index low_size) {
  const auto source = static_cast<Index>(static_cast<float>(i) * scale);
  return source < low_size ? source : low_size - 1;
}

}  // namespace cornernet
