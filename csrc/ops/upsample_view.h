// How upsampling's two maps lie in memory, and which pixel of the smaller one each pixel of the larger one repeats.
#pragma once
#include "ops/fixed_width.h"

namespace cornernet {

/// `batch` planes of height x width positions of `channels` neighbours (NCHW: batch N*C, one channel).
struct UpsampleView {
  int64_t batch, low_height, low_width, height, width, channels;
};

}  // namespace cornernet
