// What the CUDA kernels of corner decoding need to know, in plain numbers.
#pragma once
#include "ops/candidate.h"
#include "ops/corner_pairing.h"
#include "ops/fixed_width.h"

namespace cornernet::cuda {

/// More corners a side, and more candidates a view, than the kernels keep.
constexpr int kMaxTopk = 256, kMaxCandidates = 1024;
// collect_peaks: 13 KiB of shared memory a block let a V100's multiprocessor have 6 blocks, 768 threads with two loads of 16 bytes each in flight:
// 24 KiB, what 900 GB/s at 700 ns ask of each of 80, and 3.3 TB/s of each of an H100's 132. best_boxes: one block a view does it all, so it is as
// large as four pairs a thread and sort keep busy.
constexpr int kCollectThreads = 128, kBoxesThreads = 512;
/// Keys that a block of either holds: the best so far, and one step's more.
constexpr int kCollectKeys = 512, kBoxesKeys = 2048;

/// A map [views, channels, height, width] whose cells follow one another by rows; strides in elements, of a view fewer than 2^31.
struct StridedMap {
  const void* data;
  int64_t view_stride;
  uint32_t channel_stride, cell_stride;
};

/// One kind of corner's.
struct StridedMaps {
  StridedMap heat, embedding, offset;
};

/// Both corners' maps: 0 is top-left, 1 bottom-right. All are of one element type; topk <= kMaxTopk, max_candidates <= kMaxCandidates.
struct DecodeJob {
  StridedMaps side[2];
  int views, classes, height, width;
  bool channels_last;  // of the heatmaps: the order in which their elements are walked
  int topk, radius, max_candidates;
  float distance_threshold;
  int blocks;                    // of collect_peaks a heatmap
  const ViewGeometry* geometry;  // a view each, on the device

  constexpr uint32_t cells() const { return static_cast<uint32_t>(height) * static_cast<uint32_t>(width); }
  constexpr uint32_t elements() const { return static_cast<uint32_t>(classes) * cells(); }
};

/// What the first kernel leaves the second, of each heatmap: a key that topk peaks reach; the complement of another, the least among the blocks' best
/// few, which together are topk; how many keys were found, and those keys in no order, of which a block adds at most topk. All but keys begin at 0.
struct DecodeScratch {
  uint64_t *floors, *bounds;
  int* counts;
  uint64_t* keys;
};
constexpr int64_t keys_a_map(const DecodeJob& job) { return int64_t{job.blocks} * job.topk; }
/// In uint64: of all but the keys, which are to be 0, and with them.
constexpr int64_t scratch_heads(const DecodeJob& job) { return 3 * 2 * int64_t{job.views}; }
constexpr int64_t scratch_keys(const DecodeJob& job) { return scratch_heads(job) + 2 * int64_t{job.views} * keys_a_map(job); }
/// Bytes of it that are to be 0.
constexpr int64_t scratch_cleared_bytes(const DecodeJob& job) { return scratch_heads(job) * static_cast<int64_t>(sizeof(uint64_t)); }
inline DecodeScratch scratch_of(const DecodeJob& job, uint64_t* memory) {
  const int64_t maps = 2 * int64_t{job.views};
  return {memory, memory + maps, reinterpret_cast<int*>(memory + 2 * maps), memory + scratch_heads(job)};
}

/// Blocks a heatmap such that `most` in all, and no more than have elements.
constexpr int collecting_blocks(const DecodeJob& job, int most) {
  const int64_t steps = (int64_t{job.elements()} + kCollectThreads - 1) / kCollectThreads, share = most / (2 * job.views);
  return static_cast<int>(share < 1 ? 1 : share < steps ? share : steps);
}

}  // namespace cornernet::cuda
