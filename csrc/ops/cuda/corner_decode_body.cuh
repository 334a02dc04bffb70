// The bodies of the three kernels of corner decoding: the best peaks of each tile, the best of a map, and the boxes they make.
#pragma once
#ifndef __CUDACC__
#include <cmath>
#endif

#include "ops/cuda/corner_decode_job.h"
#include "ops/cuda/element.h"

namespace cornernet::cuda {

CORNERNET_DEVICE float sigmoid(float logit) { return 1.f / (1.f + expf(-logit)); }

/// Sorts by descending score and, at equal scores, ascending index: positive floats order as their bits do. 0 stands for nothing.
CORNERNET_DEVICE uint64_t key_of(float score, uint32_t index) {
  return static_cast<uint64_t>(__builtin_bit_cast(uint32_t, score)) << 32 | (0xffffffffu - index);
}
/// Of a logit that is not finite: before every other key, so that it reaches the end of the sorting.
constexpr uint64_t kNotFiniteKey = ~uint64_t{0};
/// Of a corner that is not finite; those that stand for nothing have others below 0.
constexpr int kNotFiniteClass = -2147483647;
CORNERNET_DEVICE float score_of(uint64_t key) { return __builtin_bit_cast(float, static_cast<uint32_t>(key >> 32)); }
CORNERNET_DEVICE uint32_t index_of(uint64_t key) { return 0xffffffffu - static_cast<uint32_t>(key); }

template <Scalar kScalar>
CORNERNET_DEVICE float element_at(const StridedMap& map, int view, int channel, int y, int x) {
  const auto* data = static_cast<const typename Element<kScalar>::Raw*>(map.data);
  return Element<kScalar>::load(data[view * map.view_stride + channel * map.channel_stride + y * map.row_stride + x * map.column_stride]);
}

/// A bitonic sort of kTile keys in shared memory, the greatest first.
template <typename Context>
CORNERNET_DEVICE void sort_tile(Context& context, uint64_t* keys) {
  for (int run = 2; run <= kTile; run *= 2) {
    for (int stride = run / 2; stride > 0; stride /= 2) {
      context.sync();
      for (int i = context.thread(); i < kTile / 2; i += context.threads()) {
        const int low = 2 * i - (i & (stride - 1)), high = low + stride;
        const bool descending = (low & run) == 0;
        if ((keys[low] < keys[high]) == descending) {
          const uint64_t kept = keys[low];
          keys[low] = keys[high];
          keys[high] = kept;
        }
      }
    }
  }
  context.sync();
}

/// The key of an element that is a peak (no neighbour's score is greater; equal ones are peaks too) or not finite, else 0.
template <Scalar kScalar>
CORNERNET_DEVICE uint64_t peak_key(const DecodeJob& job, const StridedMap& heat, int view, int64_t walked) {
  const auto i = static_cast<uint32_t>(walked);
  const uint32_t classes = job.classes, height = job.height, width = job.width;
  const uint32_t cell = job.channels_last ? i / classes : i % (height * width);
  const auto channel = static_cast<int>(job.channels_last ? i % classes : i / (height * width));
  const auto y = static_cast<int>(cell / width), x = static_cast<int>(cell % width);
  const float logit = element_at<kScalar>(heat, view, channel, y, x);
  if (!is_finite(logit)) return kNotFiniteKey;
  const float score = sigmoid(logit);
  if (!(score > 0.f)) return 0;
  for (int near_y = y - job.radius; near_y <= y + job.radius; ++near_y) {
    if (near_y < 0 || near_y >= job.height) continue;
    for (int near_x = x - job.radius; near_x <= x + job.radius; ++near_x) {
      if (near_x < 0 || near_x >= job.width) continue;
      const float near = element_at<kScalar>(heat, view, channel, near_y, near_x);
      if (near > logit && sigmoid(near) > score) return 0;  // the sigmoid only where it can matter: it makes near-equal logits equal
    }
  }
  return key_of(score, (static_cast<uint32_t>(channel) * height + static_cast<uint32_t>(y)) * width + static_cast<uint32_t>(x));
}

/// A block for each tile of each view's two heatmaps; writes the tile's best topk keys.
/// Memory: the heatmaps are read in their own order once, neighbours from the cache; topk keys a tile are written.
/// Cost: one sigmoid an element, 78 passes over 4,096 keys in shared memory.
template <Scalar kScalar, typename Context>
CORNERNET_DEVICE void best_of_tile(Context& context, const DecodeJob& job, uint64_t* tile_keys) {
  auto* keys = reinterpret_cast<uint64_t*>(context.shared());
  const auto tile = static_cast<int>(context.block() % job.tiles());
  const auto map = static_cast<int>(context.block() / job.tiles());
  for (int slot = context.thread(); slot < kTile; slot += context.threads()) {
    const int64_t walked = int64_t{1} * tile * kTile + slot;
    keys[slot] = walked < job.elements() ? peak_key<kScalar>(job, job.side[map % 2].heat, map / 2, walked) : 0;
  }
  sort_tile(context, keys);
  for (int i = context.thread(); i < job.topk; i += context.threads()) tile_keys[int64_t{1} * context.block() * job.topk + i] = keys[i];
}

/// A block for each view's heatmap; merges its tiles' keys.
/// Memory: every tile's keys once. Cost: one sort of 4,096 keys for some 4,000 of them.
template <typename Context>
CORNERNET_DEVICE void best_of_map(Context& context, const DecodeJob& job, const uint64_t* tile_keys, uint64_t* map_keys) {
  auto* keys = reinterpret_cast<uint64_t*>(context.shared());
  const int64_t count = int64_t{1} * job.tiles() * job.topk;
  const uint64_t* const mine = tile_keys + context.block() * count;
  for (int i = context.thread(); i < kTile; i += context.threads()) keys[i] = i < count ? mine[i] : 0;
  sort_tile(context, keys);
  // The best topk stay in front, the next keys come behind them.
  for (int64_t next = kTile; next < count; next += kTile - job.topk) {
    for (int i = job.topk + context.thread(); i < kTile; i += context.threads()) {
      const int64_t at = next + i - job.topk;
      keys[i] = at < count ? mine[at] : 0;
    }
    sort_tile(context, keys);
  }
  for (int i = context.thread(); i < job.topk; i += context.threads()) map_keys[context.block() * job.topk + i] = keys[i];
}

template <Scalar kScalar>
CORNERNET_DEVICE Corner corner_of(const DecodeJob& job, int side, int view, uint64_t key) {
  if (key == kNotFiniteKey) return {0, 0, 0, 0, kNotFiniteClass};
  const uint32_t index = index_of(key), cells = static_cast<uint32_t>(job.height) * static_cast<uint32_t>(job.width);
  const auto y = static_cast<int>(index % cells / job.width), x = static_cast<int>(index % job.width);
  const ViewGeometry geometry = job.geometry[view];
  const StridedMaps& maps = job.side[side];
  const float right = element_at<kScalar>(maps.offset, view, 0, y, x), down = element_at<kScalar>(maps.offset, view, 1, y, x);
  const Corner corner{picture_coordinate(static_cast<float>(x), right, geometry.scale_x, geometry.left_px),
                      picture_coordinate(static_cast<float>(y), down, geometry.scale_y, geometry.top_px), score_of(key),
                      element_at<kScalar>(maps.embedding, view, 0, y, x), static_cast<int>(index / cells)};
  return is_usable(corner, right, down) ? corner : Corner{0, 0, 0, 0, kNotFiniteClass};
}

/// Shared memory of best_boxes: the keys, then both sides' corners.
constexpr int kBoxesSharedBytes = kTile * static_cast<int>(sizeof(uint64_t)) + 2 * kMaxTopk * static_cast<int>(sizeof(Corner));

/// A block for each view; writes its candidates in descending score and how many there are, -1 where a corner or a heatmap is not finite.
/// Memory: topk corners a side gathered once. Cost: topk^2 comparisons, one sort of 4,096 keys for 3,072 pairs.
template <Scalar kScalar, typename Context>
CORNERNET_DEVICE void best_boxes(Context& context, const DecodeJob& job, const uint64_t* map_keys, Candidate* candidates, int* counts) {
  auto* keys = reinterpret_cast<uint64_t*>(context.shared());
  auto* corners = reinterpret_cast<Corner*>(keys + kTile);
  const auto view = static_cast<int>(context.block());
  for (int i = context.thread(); i < 2 * job.topk; i += context.threads()) {
    const uint64_t key = map_keys[(2 * view + i / job.topk) * job.topk + i % job.topk];
    // No class at all where there are fewer peaks: such a corner pairs with none.
    corners[i] = key != 0 ? corner_of<kScalar>(job, i / job.topk, view, key) : Corner{0, 0, 0, 0, -1 - i};
  }
  for (int i = context.thread(); i < kMaxCandidates; i += context.threads()) keys[i] = 0;
  for (int first = 0; first < job.topk * job.topk; first += kTile - kMaxCandidates) {
    context.sync();
    for (int i = kMaxCandidates + context.thread(); i < kTile; i += context.threads()) {
      const int pair = first + i - kMaxCandidates;
      keys[i] = 0;
      if (pair >= job.topk * job.topk) continue;
      const Corner &tl = corners[pair / job.topk], &br = corners[job.topk + pair % job.topk];
      if (makes_box(tl, br, job.distance_threshold)) keys[i] = key_of(pair_score(tl, br), static_cast<uint32_t>(pair));
    }
    sort_tile(context, keys);
  }
  for (int i = context.thread(); i < job.max_candidates; i += context.threads()) {
    if (keys[i] == 0) {
      if (i == 0 || keys[i - 1] != 0) counts[view] = i;
      continue;
    }
    const auto pair = static_cast<int>(index_of(keys[i]));
    const Corner &tl = corners[pair / job.topk], &br = corners[job.topk + pair % job.topk];
    candidates[view * job.max_candidates + i] = {tl.x, tl.y, br.x, br.y, score_of(keys[i]), tl.class_id};
    if (i == job.max_candidates - 1) counts[view] = job.max_candidates;
  }
  context.sync();
  for (int i = context.thread(); i < 2 * job.topk; i += context.threads()) {
    if (corners[i].class_id == kNotFiniteClass) counts[view] = -1;
  }
}

}  // namespace cornernet::cuda
