// What the CUDA kernels of corner decoding need to know, in plain numbers.
#pragma once
#include "ops/candidate.h"
#include "ops/corner_pairing.h"
#include "ops/fixed_width.h"

namespace cornernet::cuda {

/// Keys sorted at once in shared memory (32 KiB), more corners than which a side can't have, and more candidates a view.
constexpr int kTile = 4096, kMaxTopk = 256, kMaxCandidates = 1024;
constexpr int kDecodeThreads = 512;

/// A map [views, channels, height, width] in any layout; strides in elements.
struct StridedMap {
  const void* data;
  int64_t view_stride, channel_stride, row_stride, column_stride;
};

/// One kind of corner's.
struct StridedMaps {
  StridedMap heat, embedding, offset;
};

/// Both corners' maps: 0 is top-left, 1 bottom-right. All are of one element type; topk <= kMaxTopk, max_candidates <= kMaxCandidates,
/// elements() < 2^32.
struct DecodeJob {
  StridedMaps side[2];
  int views, classes, height, width;
  bool channels_last;  // of the heatmaps: the order in which their elements are walked
  int topk, radius, max_candidates;
  float distance_threshold;
  const ViewGeometry* geometry;  // a view each, on the device

  constexpr int64_t elements() const { return int64_t{1} * classes * height * width; }
  constexpr int tiles() const { return static_cast<int>((elements() + kTile - 1) / kTile); }
};

/// uint64 keys that decode_corners needs as scratch on the device.
constexpr int64_t scratch_keys(const DecodeJob& job) { return 2 * int64_t{1} * job.views * job.topk * (job.tiles() + 1); }

}  // namespace cornernet::cuda
