// The bodies of the two kernels of corner decoding: the best peaks of parts of a heatmap, and the boxes that a view's best make.
#pragma once
#include "ops/cuda/corner_decode_job.h"
#include "ops/cuda/element.h"

namespace cornernet::cuda {

/// Sorts by descending score and, at equal scores, ascending index: positive floats order as their bits do. 0 stands for nothing.
CORNERNET_DEVICE uint64_t key_of(float score, uint32_t index) {
  return static_cast<uint64_t>(__builtin_bit_cast(uint32_t, score)) << 32 | (0xffffffffu - index);
}
/// Of a logit that is not finite: before every other key, so that it reaches the end.
constexpr uint64_t kNotFiniteKey = ~uint64_t{0};
/// Of a corner that is not finite; those that stand for nothing have others below 0.
constexpr int kNotFiniteClass = -2147483647;
CORNERNET_DEVICE float score_of(uint64_t key) { return __builtin_bit_cast(float, static_cast<uint32_t>(key >> 32)); }
CORNERNET_DEVICE uint32_t index_of(uint64_t key) { return 0xffffffffu - static_cast<uint32_t>(key); }

/// The best `limit` of the keys that a block's threads add, in its shared memory. What is below the floor, the limit-th best so far, need not be
/// added; only when the memory could run out are the keys sorted, and those behind the limit dropped.
template <typename Context>
class TopKeys {
 public:
  /// Shared memory besides the keys.
  static constexpr int kCountBytes = 16;

  /// Every thread makes it. `a_step`: keys that all threads may add between two ends of steps; limit + a_step <= kHeldKeys.
  CORNERNET_DEVICE TopKeys(Context& context, unsigned char* shared, int limit, int a_step, uint64_t floor = 1)
      : context_(context),
        count_(reinterpret_cast<int*>(shared)),
        keys_(reinterpret_cast<uint64_t*>(shared + kCountBytes)),
        limit_(limit),
        full_(kHeldKeys - a_step),
        floor_(floor) {
    if (context.thread() == 0) *count_ = 0;
    context.sync();
  }

  CORNERNET_DEVICE uint64_t floor() const { return floor_; }
  CORNERNET_DEVICE void raise_floor(uint64_t floor) { floor_ = floor > floor_ ? floor : floor_; }
  CORNERNET_DEVICE void add(uint64_t key) {
    if (key < floor_) return;
    const int place = context_.atomic_add(count_, 1);
    keys_[place] = key;
    over_ = over_ || place >= full_;
  }
  /// Every thread, whether it added any or not. True when the floor rose.
  CORNERNET_DEVICE bool end_step() { return context_.sync_any(over_) && sort() == limit_; }
  /// The keys, the best first, and how many there are; every thread gets them.
  CORNERNET_DEVICE const uint64_t* sorted(int& count) {
    context_.sync();
    count = sort();
    return keys_;
  }

 private:
  /// A bitonic sort, the greatest first, of as many keys as there are, filled up to a power of two; how many are kept. After a sync.
  CORNERNET_DEVICE int sort() {
    const int count = *count_;
    int size = 2;
    while (size < count) size *= 2;
    for (int i = count + context_.thread(); i < size; i += context_.threads()) keys_[i] = 0;
    for (int run = 2; run <= size; run *= 2) {
      for (int stride = run / 2; stride > 0; stride /= 2) {
        context_.sync();
        for (int i = context_.thread(); i < size / 2; i += context_.threads()) {
          const int low = 2 * i - (i & (stride - 1)), high = low + stride;
          const bool descending = (low & run) == 0;
          if ((keys_[low] < keys_[high]) == descending) {
            const uint64_t kept = keys_[low];
            keys_[low] = keys_[high];
            keys_[high] = kept;
          }
        }
      }
    }
    if (context_.thread() == 0 && count > limit_) *count_ = limit_;
    context_.sync();
    if (count >= limit_) raise_floor(keys_[limit_ - 1]);
    over_ = false;
    return count < limit_ ? count : limit_;
  }

  Context& context_;
  int* count_;
  uint64_t* keys_;
  int limit_, full_;
  uint64_t floor_;
  bool over_ = false;
};

/// Bytes of shared memory that TopKeys has.
constexpr int kTopKeysBytes = 16 + kHeldKeys * static_cast<int>(sizeof(uint64_t));

/// One view of a map.
template <Scalar kScalar>
struct ViewOfMap {
  using Raw = typename Element<kScalar>::Raw;
  const Raw* data;
  uint32_t channel_stride, cell_stride;

  CORNERNET_DEVICE ViewOfMap(const StridedMap& map, int view)
      : data(static_cast<const Raw*>(map.data) + view * map.view_stride), channel_stride(map.channel_stride), cell_stride(map.cell_stride) {}
  CORNERNET_DEVICE const Raw* at(uint32_t channel, uint32_t cell) const { return data + channel * channel_stride + cell * cell_stride; }
  CORNERNET_DEVICE float load(uint32_t channel, uint32_t cell) const { return Element<kScalar>::load(*at(channel, cell)); }
};

/// Bit l: whether lane l of `mask`, a logit of channel + l at (y, x), is beaten by none of its neighbours.
template <Scalar kScalar, int kLanes>
CORNERNET_DEVICE unsigned peaks_among(const DecodeJob& job, const ViewOfMap<kScalar>& heat, const float (&logits)[kLanes], unsigned mask,
                                      uint32_t channel, int y, int x) {
  for (int near_y = y - job.radius; near_y <= y + job.radius; ++near_y) {
    if (near_y < 0 || near_y >= job.height) continue;
    for (int near_x = x - job.radius; near_x <= x + job.radius; ++near_x) {
      if (near_x < 0 || near_x >= job.width || mask == 0) continue;
      const auto near = load_pack<kLanes>(heat.at(channel, static_cast<uint32_t>(near_y * job.width + near_x)));
#pragma unroll
      for (int l = 0; l < kLanes; ++l) {
        if ((mask >> l & 1u) != 0 && beats(Element<kScalar>::load(near.get(l)), logits[l])) mask &= ~(1u << l);
      }
    }
  }
  return mask;
}

/// job.blocks blocks for each view's two heatmaps; writes topk keys each, best first, 0 behind them, and raises the heatmap's floor.
/// kLanes > 1: neighbouring channels of channels-last heatmaps, whose packs are aligned.
/// Memory: neighbouring threads take neighbouring packs in the heatmap's own order, each read once, the next while the present one is looked at;
/// neighbours, from the cache, only of logits that reach the floor. Cost: a comparison an element; a sigmoid a peak, and two for each neighbour that
/// is higher; a sort of 2,048 keys, and rarely a second. One sync a step.
template <Scalar kScalar, int kLanes, typename Context>
CORNERNET_DEVICE void collect_peaks(Context& context, const DecodeJob& job, uint64_t* floors, uint64_t* found) {
  using Lanes = Pack<typename Element<kScalar>::Raw, kLanes>;
  const auto map = static_cast<int>(context.block()) / job.blocks, part = static_cast<int>(context.block()) % job.blocks;
  const ViewOfMap<kScalar> heat(job.side[map % 2].heat, map / 2);
  const uint32_t cells = job.cells(), packs = job.elements() / kLanes, packs_a_cell = static_cast<uint32_t>(job.classes) / kLanes;
  const auto stride = static_cast<uint32_t>(job.blocks * context.threads());
  const auto channel_of = [&](uint32_t i) { return job.channels_last ? i % packs_a_cell * kLanes : i / cells; };
  const auto cell_of = [&](uint32_t i) { return job.channels_last ? i / packs_a_cell : i % cells; };
  const auto read = [&](uint32_t i) { return i < packs ? load_pack<kLanes>(heat.at(channel_of(i), cell_of(i))) : Lanes{}; };

  TopKeys<Context> top(context, context.shared(), job.topk, context.threads() * kLanes);
  uint64_t floor_seen = 0;
  float logit_floor = logit_below(0.f);
  const uint32_t begin = static_cast<uint32_t>(part * context.threads() + context.thread());
  Lanes next = read(begin);
  uint64_t next_floor = context.look(floors + map);
  // The same count of steps for every thread, whether or not it has a pack left.
  for (uint32_t first = static_cast<uint32_t>(part * context.threads()); first < packs; first += stride) {
    const uint32_t i = first + static_cast<uint32_t>(context.thread());
    const Lanes now = next;
    top.raise_floor(next_floor);
    next = read(i + stride);
    next_floor = context.look(floors + map);
    if (top.floor() != floor_seen) {
      floor_seen = top.floor();
      logit_floor = logit_below(score_of(floor_seen));
    }
    float logits[kLanes];
    unsigned mask = 0;
#pragma unroll
    for (int l = 0; l < kLanes; ++l) {
      logits[l] = Element<kScalar>::load(now.get(l));
      if (!is_finite(logits[l]))
        top.add(kNotFiniteKey);
      else if (logits[l] >= logit_floor)
        mask |= 1u << l;
    }
    if (i >= packs) mask = 0;
    if (mask != 0) {
      const uint32_t channel = channel_of(i), cell = cell_of(i), y = cell / static_cast<uint32_t>(job.width);
      mask = peaks_among<kScalar, kLanes>(job, heat, logits, mask, channel, static_cast<int>(y), static_cast<int>(cell - y * job.width));
#pragma unroll
      for (int l = 0; l < kLanes; ++l) {
        const float score = sigmoid(logits[l]);
        if ((mask >> l & 1u) != 0 && score > 0.f) top.add(key_of(score, (channel + l) * cells + cell));
      }
    }
    if (top.end_step() && context.thread() == 0) context.atomic_max(floors + map, top.floor());
  }
  int count;
  const uint64_t* const keys = top.sorted(count);
  if (count == job.topk && context.thread() == 0) context.atomic_max(floors + map, top.floor());
  for (int i = context.thread(); i < job.topk; i += context.threads()) found[context.block() * job.topk + i] = i < count ? keys[i] : 0;
}

template <Scalar kScalar>
CORNERNET_DEVICE Corner corner_of(const DecodeJob& job, int side, int view, uint64_t key) {
  if (key == kNotFiniteKey) return {0, 0, 0, 0, kNotFiniteClass};
  const uint32_t index = index_of(key), cells = job.cells(), channel = index / cells, cell = index - channel * cells;
  const uint32_t y = cell / static_cast<uint32_t>(job.width), x = cell - y * static_cast<uint32_t>(job.width);
  const ViewGeometry geometry = job.geometry[view];
  const ViewOfMap<kScalar> embedding(job.side[side].embedding, view), offset(job.side[side].offset, view);
  const float right = offset.load(0, cell), down = offset.load(1, cell);
  const Corner corner{picture_coordinate(static_cast<float>(x), right, geometry.scale_x, geometry.left_px),
                      picture_coordinate(static_cast<float>(y), down, geometry.scale_y, geometry.top_px), score_of(key), embedding.load(0, cell),
                      static_cast<int>(channel)};
  return is_usable(corner, right, down) ? corner : Corner{0, 0, 0, 0, kNotFiniteClass};
}

/// Shared memory of best_boxes: the keys, then both sides' corners.
constexpr int kBoxesSharedBytes = kTopKeysBytes + 2 * kMaxTopk * static_cast<int>(sizeof(Corner));

/// A block for each view; writes its candidates in descending score and how many there are, -1 where a corner or a heatmap is not finite.
/// Memory: the parts' keys once, of which the floor lets few through, and topk corners a side. Cost: topk^2 comparisons, and sorts of what passes.
template <Scalar kScalar, typename Context>
CORNERNET_DEVICE void best_boxes(Context& context, const DecodeJob& job, const uint64_t* floors, const uint64_t* found, Candidate* candidates,
                                 int* counts) {
  auto* const corners = reinterpret_cast<Corner*>(context.shared() + kTopKeysBytes);
  const auto view = static_cast<int>(context.block());
  const int topk = job.topk, keys_a_map = job.blocks * topk;
  for (int side = 0; side < 2; ++side) {
    const int map = 2 * view + side;
    TopKeys<Context> top(context, context.shared(), topk, context.threads(), floors[map] > 0 ? floors[map] : 1);
    for (int first = 0; first < keys_a_map; first += context.threads()) {
      const int i = first + context.thread();
      if (i < keys_a_map) top.add(found[static_cast<int64_t>(map) * keys_a_map + i]);
      top.end_step();
    }
    int count;
    const uint64_t* const keys = top.sorted(count);
    for (int i = context.thread(); i < topk; i += context.threads()) {
      // No class at all where there are fewer peaks: such a corner pairs with none.
      corners[side * topk + i] = i < count ? corner_of<kScalar>(job, side, view, keys[i]) : Corner{0, 0, 0, 0, -1 - (side * topk + i)};
    }
    context.sync();
  }
  TopKeys<Context> top(context, context.shared(), job.max_candidates, context.threads());
  for (int first = 0; first < topk * topk; first += context.threads()) {
    const int pair = first + context.thread();
    if (pair < topk * topk) {
      const Corner &tl = corners[pair / topk], &br = corners[topk + pair % topk];
      if (makes_box(tl, br, job.distance_threshold)) top.add(key_of(pair_score(tl, br), static_cast<uint32_t>(pair)));
    }
    top.end_step();
  }
  int count;
  const uint64_t* const keys = top.sorted(count);
  bool odd = false;
  for (int i = context.thread(); i < 2 * topk; i += context.threads()) odd = odd || corners[i].class_id == kNotFiniteClass;
  odd = context.sync_any(odd);
  if (context.thread() == 0) counts[view] = odd ? -1 : count;
  for (int i = context.thread(); i < count; i += context.threads()) {
    const auto pair = static_cast<int>(index_of(keys[i]));
    const Corner &tl = corners[pair / topk], &br = corners[topk + pair % topk];
    candidates[view * job.max_candidates + i] = {tl.x, tl.y, br.x, br.y, score_of(keys[i]), tl.class_id};
  }
}

}  // namespace cornernet::cuda
