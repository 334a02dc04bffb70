// How Winograd's convolution cuts maps: tiles of 4x4 results, each from 6x6 values.
#pragma once
#include <cstdint>

namespace cornernet {

/// A channels-last map.
struct TiledMap {
  static constexpr int64_t kSide = 4, kSeen = 6, kPoints = kSeen * kSeen;
  /// Channels are taken so many at a time: their number is a multiple of it.
  static constexpr int64_t kLane = 16;

  int64_t pictures, height, width, channels;
  int64_t rows() const { return (height + kSide - 1) / kSide; }
  int64_t columns() const { return (width + kSide - 1) / kSide; }
  int64_t tiles() const { return pictures * rows() * columns(); }
};

}  // namespace cornernet
