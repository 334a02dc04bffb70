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
/// added; when too many are held the keys are sorted, and those behind the limit dropped.
template <typename Context>
class TopKeys {
 public:
  /// Of shared memory, for so many keys.
  static constexpr int bytes(int held) { return kCountBytes + held * static_cast<int>(sizeof(uint64_t)); }

  /// Every thread makes it. `held`: keys that the memory is for, a power of two. `a_step`: keys that all threads may add between two ends of steps;
  /// limit + a_step <= held. Sorts when `many` are held: early where the floor is to rise soon, as late as the memory allows where it is known.
  CORNERNET_DEVICE TopKeys(Context& context, unsigned char* shared, int held, int limit, int a_step, int many)
      : context_(context),
        count_(reinterpret_cast<int*>(shared)),
        keys_(reinterpret_cast<uint64_t*>(shared + kCountBytes)),
        limit_(limit),
        full_(many < held - a_step ? many : held - a_step) {
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
  /// Of what sorted() gave: those that reach the newest floor, at the end of the heatmap's list. Every thread.
  CORNERNET_DEVICE void append_to(uint64_t* floor, int* list_count, uint64_t* list, int count) {
    auto* const newest = reinterpret_cast<uint64_t*>(count_) + 1;
    if (context_.thread() == 0) {
      if (count == limit_) context_.atomic_max(floor, floor_);
      const uint64_t others = context_.look(floor);
      *newest = others > floor_ ? others : floor_;
      *count_ = -1;  // nothing reaches it
    }
    context_.sync();
    const uint64_t least = *newest;
    for (int i = context_.thread(); i < count; i += context_.threads()) {
      const bool last = keys_[i] >= least && (i + 1 == count || keys_[i + 1] < least);
      if (last) *count_ = context_.atomic_add(list_count, i + 1);
    }
    context_.sync();
    const int begin = *count_;
    for (int i = context_.thread(); i < count && begin >= 0 && keys_[i] >= least; i += context_.threads()) list[begin + i] = keys_[i];
  }

 private:
  /// Before the keys: their number, and what the block's threads tell each other.
  static constexpr int kCountBytes = 16;

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
  uint64_t floor_ = 1;  // what is 0 stands for nothing
  bool over_ = false;
};

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

/// Whether none of its neighbours beats `logit`, which is at `index`: (channel * height + y) * width + x.
template <Scalar kScalar>
CORNERNET_DEVICE bool is_peak(const DecodeJob& job, const ViewOfMap<kScalar>& heat, float logit, uint32_t index) {
  const uint32_t channel = index / job.cells(), cell = index - channel * job.cells();
  const auto y = static_cast<int>(cell / static_cast<uint32_t>(job.width)), x = static_cast<int>(cell) - y * job.width;
  bool peak = true;
  for (int near_y = y - job.radius; near_y <= y + job.radius; ++near_y) {
    if (near_y < 0 || near_y >= job.height) continue;
    for (int near_x = x - job.radius; near_x <= x + job.radius; ++near_x) {
      if (near_x < 0 || near_x >= job.width) continue;
      peak = peak && !beats(heat.load(channel, static_cast<uint32_t>(near_y * job.width + near_x)), logit);
    }
  }
  return peak;
}

/// Logits that may be peaks, in a block's shared memory, until there are enough of them to keep all of its threads busy.
template <typename Context>
class Suspects {
 public:
  struct Suspect {
    float logit;
    uint32_t index;
  };
  static constexpr int bytes(int held) { return kCountBytes + held * static_cast<int>(sizeof(Suspect)); }

  /// Every thread makes it, before a sync.
  CORNERNET_DEVICE Suspects(Context& context, unsigned char* shared)
      : context_(context), count_(reinterpret_cast<int*>(shared)), all_(reinterpret_cast<Suspect*>(shared + kCountBytes)) {
    if (context.thread() == 0) *count_ = 0;
  }
  /// Room for so many of this thread's, which take() fills; the others' are elsewhere.
  CORNERNET_DEVICE Suspect* take(int many) {
    const int place = context_.atomic_add(count_, many);
    enough_ = enough_ || place + many >= context_.threads();
    return all_ + place;
  }
  /// Every thread: whether there are enough to be tried now. All that was taken is written.
  CORNERNET_DEVICE bool enough() { return context_.sync_any(enough_); }
  /// After a sync.
  CORNERNET_DEVICE int count() const { return *count_; }
  CORNERNET_DEVICE Suspect get(int i) const { return all_[i]; }
  /// Every thread.
  CORNERNET_DEVICE void clear() {
    context_.sync();
    if (context_.thread() == 0) *count_ = 0;
    context_.sync();
    enough_ = false;
  }

 private:
  static constexpr int kCountBytes = 16;

  Context& context_;
  int* count_;
  Suspect* all_;
  bool enough_ = false;
};

/// Shared memory of collect_peaks: its keys, and as many suspects as a step's threads find when there were nearly enough before.
template <int kLanes>
constexpr int collect_shared_bytes() {
  return TopKeys<int>::bytes(kCollectKeys) + Suspects<int>::bytes(kCollectThreads * (1 + kLanes));
}

/// job.blocks blocks for each view's two heatmaps; adds at most topk keys each to the heatmap's, and raises its floor.
/// kLanes > 1: neighbouring channels of channels-last heatmaps, whose packs are aligned.
/// Memory: neighbouring threads take neighbouring packs in the heatmap's own order, each read once, two while the present one is looked at;
/// neighbours, from the cache, only of logits whose keys reach the floor. Cost: a comparison an element; of those that reach the floor a sigmoid and
/// the neighbours, by all threads together; some four sorts of 256 keys. One sync a step; the first, which has no floor, tries all its elements.
template <Scalar kScalar, int kLanes, typename Context>
CORNERNET_DEVICE void collect_peaks(Context& context, const DecodeJob& job, const DecodeScratch& scratch) {
  using Lanes = Pack<typename Element<kScalar>::Raw, kLanes>;
  const auto map = static_cast<int>(context.block()) / job.blocks, part = static_cast<int>(context.block()) % job.blocks;
  const ViewOfMap<kScalar> heat(job.side[map % 2].heat, map / 2);
  const uint32_t cells = job.cells(), packs = job.elements() / kLanes, packs_a_cell = static_cast<uint32_t>(job.classes) / kLanes;
  const auto stride = static_cast<uint32_t>(job.blocks * context.threads());
  const auto channel_of = [&](uint32_t i) { return job.channels_last ? i % packs_a_cell * kLanes : i / cells; };
  const auto cell_of = [&](uint32_t i) { return job.channels_last ? i / packs_a_cell : i % cells; };
  const auto read = [&](uint32_t i) { return i < packs ? load_pack<kLanes>(heat.at(channel_of(i), cell_of(i))) : Lanes{}; };

  Suspects<Context> suspects(context, context.shared() + TopKeys<Context>::bytes(kCollectKeys));
  TopKeys<Context> top(context, context.shared(), kCollectKeys, job.topk, context.threads(), 2 * job.topk);
  uint64_t* const shared_floor = scratch.floors + map;
  uint64_t floor_seen = 0;
  float logit_floor = logit_below(0.f);
  const uint32_t begin = static_cast<uint32_t>(part * context.threads() + context.thread());
  Lanes next = read(begin), after = read(begin + stride);
  uint64_t next_floor = context.look(shared_floor);
  // The same count of steps for every thread, whether or not it has a pack left; in the last none has one.
  bool last = false;
  for (uint32_t first = static_cast<uint32_t>(part * context.threads()); !last; first += stride) {
    last = first >= packs;
    const uint32_t i = first + static_cast<uint32_t>(context.thread());
    const Lanes now = next;
    top.raise_floor(next_floor);
    next = after;
    after = read(i + 2 * stride);
    next_floor = context.look(shared_floor);
    if (top.floor() != floor_seen) {
      floor_seen = top.floor();
      logit_floor = logit_below(score_of(floor_seen));
    }
    float logits[kLanes];
    unsigned mask = 0;
    int many = 0;
#pragma unroll
    for (int l = 0; l < kLanes; ++l) {
      logits[l] = Element<kScalar>::load(now.get(l));
      const bool suspected = i < packs && (logits[l] >= logit_floor || !is_finite(logits[l]));
      mask |= static_cast<unsigned>(suspected) << l;
      many += static_cast<int>(suspected);
    }
    if (many > 0) {
      const uint32_t index = channel_of(i) * cells + cell_of(i);
      auto* to = suspects.take(many);
#pragma unroll
      for (int l = 0; l < kLanes; ++l) {
        if ((mask >> l & 1u) != 0) *to++ = {logits[l], index + l * cells};
      }
    }
    const bool enough = suspects.enough();
    if (!enough && !last) continue;
    const int suspected = suspects.count();
    for (int begun = 0; begun < suspected; begun += context.threads()) {
      if (begun + context.thread() < suspected) {
        const auto suspect = suspects.get(begun + context.thread());
        const float score = sigmoid(suspect.logit);
        const uint64_t key = is_finite(suspect.logit) ? key_of(score, suspect.index) : kNotFiniteKey;
        // First of all the key: a plateau's scores all reach the floor's, but of their places few are before its.
        if (key >= top.floor() && (key == kNotFiniteKey || (score > 0.f && is_peak<kScalar>(job, heat, suspect.logit, suspect.index)))) top.add(key);
      }
      if (top.end_step() && context.thread() == 0) context.atomic_max(shared_floor, top.floor());
    }
    suspects.clear();
  }
  int count;
  const uint64_t* const keys = top.sorted(count);
  if (context.thread() == 0) {  // its share of topk, were all blocks alike
    const int share = (job.topk + job.blocks - 1) / job.blocks;
    context.atomic_max(scratch.bounds + map, ~(count >= share ? keys[share - 1] : uint64_t{0}));
  }
  top.append_to(shared_floor, scratch.counts + map, scratch.keys + map * keys_a_map(job), count);
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
constexpr int kBoxesSharedBytes = TopKeys<int>::bytes(kBoxesKeys) + 2 * kMaxTopk * static_cast<int>(sizeof(Corner));

/// A block for each view; writes its candidates in descending score, zeros behind them, and how many there are, -1 where a corner or a heatmap is not
/// finite.
/// Memory: the heatmaps' keys once, four loads a thread in flight, and topk corners a side. Cost: topk^2 comparisons, and sorts of what passes.
template <Scalar kScalar, typename Context>
CORNERNET_DEVICE void best_boxes(Context& context, const DecodeJob& job, const DecodeScratch& scratch, Candidate* candidates, int* counts) {
  auto* const corners = reinterpret_cast<Corner*>(context.shared() + TopKeys<Context>::bytes(kBoxesKeys));
  const auto view = static_cast<int>(context.block());
  const int topk = job.topk;
  for (int side = 0; side < 2; ++side) {
    const int map = 2 * view + side, found = scratch.counts[map];
    const uint64_t *const found_keys = scratch.keys + map * keys_a_map(job), bound = ~scratch.bounds[map];
    TopKeys<Context> top(context, context.shared(), kBoxesKeys, topk, context.threads(), kBoxesKeys);
    top.raise_floor(scratch.floors[map]);
    top.raise_floor(bound);
    constexpr int kLoads = 4;
    for (int first = 0; first < found; first += kLoads * context.threads()) {
      uint64_t loaded[kLoads];
#pragma unroll
      for (int load = 0; load < kLoads; ++load) {
        const int i = first + load * context.threads() + context.thread();
        loaded[load] = i < found ? found_keys[i] : 0;
      }
#pragma unroll
      for (int load = 0; load < kLoads; ++load) {
        top.add(loaded[load]);
        top.end_step();
      }
    }
    int count;
    const uint64_t* const keys = top.sorted(count);
    for (int i = context.thread(); i < topk; i += context.threads()) {
      // No class at all where there are fewer peaks: such a corner pairs with none.
      corners[side * topk + i] = i < count ? corner_of<kScalar>(job, side, view, keys[i]) : Corner{0, 0, 0, 0, -1 - (side * topk + i)};
    }
    context.sync();
  }
  TopKeys<Context> top(context, context.shared(), kBoxesKeys, job.max_candidates, context.threads(), kBoxesKeys);
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
  for (int i = context.thread(); i < job.max_candidates; i += context.threads()) {
    const int pair = i < count ? static_cast<int>(index_of(keys[i])) : 0;
    const Corner &tl = corners[pair / topk], &br = corners[topk + pair % topk];
    candidates[view * job.max_candidates + i] = i < count ? Candidate{tl.x, tl.y, br.x, br.y, score_of(keys[i]), tl.class_id} : Candidate{};
  }
}

}  // namespace cornernet::cuda
