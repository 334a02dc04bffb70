// Corner pooling's four directions over two memory layouts as one case: scans along the middle of three dimensions.
#pragma once
#include "ops/fixed_width.h"

namespace cornernet {

/// The step of every scan: at::cummax's. Whether `value`, later in scan order, takes over from `maximum`: at ties it does, NaN always does and is
/// only replaced by NaN.
template <typename T>
constexpr bool takes_over(T value, T maximum) {
  return (value >= maximum) | (value != value);
}

template <typename T>
constexpr T running_max(T maximum, T value) {
  return takes_over(value, maximum) ? value : maximum;
}

/// `outer` blocks of `length` rows of `inner` neighbouring elements; the scan runs over the rows, backwards when `reverse`. NCHW: vertical (N*C, H,
/// W), horizontal (N*C*H, W, 1). Channels-last: vertical (N, H, W*C), horizontal (N*H, W, C).
struct ScanView {
  int64_t outer, length, inner;
  bool reverse;
};

/// How the two scans of a pair lie in memory: `batch` planes of height x width positions of `channels` neighbours (NCHW: batch N*C, one channel).
struct PairView {
  int64_t batch, height, width, channels;
  bool reverse_rows, reverse_columns;
};

/// The two poolings of a pair as scans of their own.
struct PairScans {
  ScanView vertical, horizontal;
};

constexpr PairScans scans_of(const PairView& view) {
  return {{view.batch, view.height, view.width * view.channels, view.reverse_rows},
          {view.batch * view.height, view.width, view.channels, view.reverse_columns}};
}

}  // namespace cornernet
