// The CUDA kernels' bodies at HourglassNet-104's shapes, block sizes and types, with threads in random orders and buffers of exactly their size:
// under AddressSanitizer, and under ThreadSanitizer as a race check. Without LibTorch, so that it is built in seconds.
//   kernels            all of them
//   kernels racy       one that forgets a barrier: ThreadSanitizer must report it
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "ops/cuda/corner_decode_body.cuh"
#include "ops/cuda/corner_pool_body.cuh"
#include "ops/cuda/corner_pool_pair_body.cuh"
#include "ops/cuda/image_body.cuh"
#include "ops/cuda/upsample_add_body.cuh"
#include "test/native/host_block.h"

using namespace cornernet;
using namespace cornernet::cuda;
using cornernet::testing::HostBlock;
using cornernet::testing::HostContext;
using cornernet::testing::LaneOrder;

namespace {

// A 640x480 photograph and its mirrored view: 511x767 padded, which is 128x192 cells, with 256 channels and 80 classes.
constexpr int64_t kViews = 2, kHeight = 128, kWidth = 192, kChannels = 256, kClasses = 80;
constexpr int kBlocks = 3;  // of a grid that are run: its ends and what lies between at random

#ifdef __SANITIZE_THREAD__
constexpr LaneOrder kOrders[] = {LaneOrder::Random};  // a race is one in whatever order
#else
constexpr LaneOrder kOrders[] = {LaneOrder::Ascending, LaneOrder::Random, LaneOrder::Random};
#endif

int failures = 0;

void expect(bool holds, const std::string& what) {
  if (holds) return;
  std::printf("failed: %s\n", what.c_str());
  ++failures;
}

/// Memory of exactly so many elements, aligned as a GPU's.
template <typename T>
class Exactly {
 public:
  explicit Exactly(int64_t count, unsigned char fill = 0xff) : count_(count) {
    void* memory = nullptr;
    if (posix_memalign(&memory, 256, static_cast<size_t>(count) * sizeof(T)) != 0) std::abort();
    memory_.reset(static_cast<T*>(memory));
    std::memset(memory, fill, static_cast<size_t>(count) * sizeof(T));
  }
  T* get() { return memory_.get(); }
  T& operator[](int64_t i) { return memory_.get()[i]; }
  int64_t count() const { return count_; }

 private:
  struct Free {
    void operator()(T* memory) const { std::free(memory); }
  };
  std::unique_ptr<T, Free> memory_;
  int64_t count_;
};

std::mt19937 draws(7);

template <Scalar kScalar>
auto drawn(int64_t count) {
  using Raw = typename Element<kScalar>::Raw;
  Exactly<Raw> values(count);
  for (int64_t i = 0; i < count; ++i) values[i] = Element<kScalar>::store(static_cast<float>(static_cast<int>(draws() % 4096) - 2048) / 256.f);
  return values;
}

std::vector<unsigned> some_of(int64_t blocks) {
  std::vector<unsigned> chosen{0, static_cast<unsigned>(blocks - 1)};
  while (static_cast<int>(chosen.size()) < kBlocks) chosen.push_back(draws() % static_cast<unsigned>(blocks));
  std::ranges::shuffle(chosen, draws);
  chosen.erase(std::unique(chosen.begin(), chosen.end()), chosen.end());
  return chosen;
}

/// Blocks of a grid in several orders of their threads, each into a result of its own: all the same bits, and those of `definition` where a block
/// wrote.
template <Scalar kScalar, typename Run, typename Definition>
void compare(const std::string& what, int64_t count, int threads, size_t shared_bytes, int64_t blocks, const Run& run, const Definition& definition) {
  using Raw = typename Element<kScalar>::Raw;
  const std::vector<unsigned> chosen = some_of(blocks);
  std::vector<Exactly<Raw>> results;
  for (const LaneOrder order : kOrders) {
    auto& result = results.emplace_back(count);
    HostBlock(threads, shared_bytes, order, draws()).run_some(chosen, [&](HostContext& context) { run(context, result.get()); });
    expect(std::memcmp(result.get(), results[0].get(), static_cast<size_t>(count) * sizeof(Raw)) == 0, what + " depends on the order of threads");
  }
  const Exactly<Raw> untouched(1);
  int64_t written = 0;
  for (int64_t i = 0; i < count; ++i) {
    if (std::memcmp(&results[0][i], const_cast<Exactly<Raw>&>(untouched).get(), sizeof(Raw)) == 0) continue;  // no finite number has those bits
    ++written;
    if (results[0][i] == definition(i)) continue;
    expect(false, what + " differs from its definition at " + std::to_string(i));
    return;
  }
  expect(written > 0, what + " wrote nothing");
}

constexpr const char* name_of(Scalar scalar) { return scalar == Scalar::Float32 ? " fp32" : scalar == Scalar::Float16 ? " fp16" : " bf16"; }
constexpr int64_t ceil_div(int64_t n, int64_t d) { return (n + d - 1) / d; }

/// The definition of a scan, all at once.
template <Scalar kScalar, typename Raw = typename Element<kScalar>::Raw>
std::vector<float> pooled(Exactly<Raw>& x, const ScanView& view) {
  std::vector<float> y(static_cast<size_t>(x.count()));
  for (int64_t o = 0; o < view.outer; ++o) {
    for (int64_t i = 0; i < view.inner; ++i) {
      float maximum = -std::numeric_limits<float>::infinity();
      for (int64_t l = 0; l < view.length; ++l) {
        const int64_t at = (o * view.length + (view.reverse ? view.length - 1 - l : l)) * view.inner + i;
        maximum = running_max(maximum, Element<kScalar>::load(x[at]));
        y[static_cast<size_t>(at)] = maximum;
      }
    }
  }
  return y;
}

template <Scalar kScalar, int kLanes>
void check_scans(int64_t height, int64_t width, int64_t channels) {
  using Raw = typename Element<kScalar>::Raw;
  auto x = drawn<kScalar>(kViews * height * width * channels);
  for (const bool reverse : {false, true}) {
    const PairScans last = scans_of({kViews, height, width, channels, reverse, reverse});
    const PairScans planes = scans_of({kViews * channels, height, width, 1, reverse, reverse});
    for (const ScanView& view : {last.vertical, last.horizontal, planes.vertical, planes.horizontal}) {
      const std::vector<float> expected = pooled<kScalar>(x, view);
      const auto definition = [&](int64_t i) { return Element<kScalar>::store(expected[static_cast<size_t>(i)]); };
      const std::string what = "a scan of " + std::to_string(view.length) + " by " + std::to_string(kLanes) + name_of(kScalar);
      const int64_t chunks = ceil_div(view.length, kColumnSegments * kColumnRows);
      if (view.inner > 1) {
        if constexpr (kLanes <= kColumnLanes) {
          const int threads = static_cast<int>(ceil_div(view.length, chunks * kColumnRows)) * kWarp;
          compare<kScalar>(
              what, x.count(), threads, scan_columns_shared_bytes(threads, sizeof(Raw) * kLanes), view.outer * ceil_div(view.inner, kWarp * kLanes),
              [&](HostContext& c, Raw* y) { scan_columns<kScalar, kLanes, false>(c, x.get(), x.get(), y, view); }, definition);
        }
      } else {
        compare<kScalar>(
            what, x.count(), kScanRowsThreads, 0, ceil_div(view.outer, kScanRowsThreads / kWarp * kScanRows),
            [&](HostContext& c, Raw* y) { scan_rows<kScalar, kLanes, false>(c, x.get(), x.get(), y, view); }, definition);
      }
    }
  }
}

template <Scalar kScalar, typename Tile>
void check_pair(int64_t batch, int64_t height, int64_t width, int64_t channels) {
  using Raw = typename Element<kScalar>::Raw;
  auto a = drawn<kScalar>(batch * height * width * channels), b = drawn<kScalar>(a.count());
  for (const bool reverse : {false, true}) {
    const PairView view{batch, height, width, channels, reverse, !reverse};
    const PairScans scans = scans_of(view);
    const std::vector<float> down = pooled<kScalar>(a, scans.vertical), across = pooled<kScalar>(b, scans.horizontal);
    const int threads = static_cast<int>(pair_threads<Tile>(width));
    compare<kScalar>(
        std::string("a pair of scans") + name_of(kScalar), a.count(), threads, pair_shared_bytes<Tile>(threads), batch * pair_slices<Tile>(channels),
        [&](HostContext& c, Raw* y) { pool_pair<kScalar, Tile>(c, a.get(), b.get(), y, view); },
        [&](int64_t i) { return Element<kScalar>::store(down[static_cast<size_t>(i)] + across[static_cast<size_t>(i)]); });
  }
}

template <Scalar kScalar, int kLanes>
void check_upsampling(int64_t low_height, int64_t low_width, int64_t height, int64_t width, int64_t channels) {
  using Raw = typename Element<kScalar>::Raw;
  const UpsampleView view{kViews, low_height, low_width, height, width, channels};
  auto low = drawn<kScalar>(kViews * low_height * low_width * channels), skip = drawn<kScalar>(kViews * height * width * channels);
  const auto packs = static_cast<uint32_t>(skip.count() / kLanes);
  compare<kScalar>(
      std::string("upsampling") + name_of(kScalar), skip.count(), kUpsampleThreads, 0, ceil_div(packs, kUpsampleThreads * kUpsamplePacks),
      [&](HostContext& c, Raw* y) { add_upsampled<kScalar, kLanes>(c, low.get(), skip.get(), y, view, packs); },
      [&](int64_t i) {
        const int64_t channel = i % channels, x = i / channels % width, y = i / channels / width % height, n = i / channels / width / height;
        const int64_t from_y = nearest_source(y, nearest_scale(low_height, height), low_height);
        const int64_t from_x = nearest_source(x, nearest_scale(low_width, width), low_width);
        return Element<kScalar>::store(Element<kScalar>::load(skip[i]) +
                                       Element<kScalar>::load(low[((n * low_height + from_y) * low_width + from_x) * channels + channel]));
      });
}

template <Scalar kScalar>
void check_image(bool mirror_before_padding) {
  using Raw = typename Element<kScalar>::Raw;
  constexpr int kSide = 3 * 640 * 480;
  Exactly<uint8_t> rgb(kSide), small(3 * 320 * 240);
  for (int i = 0; i < kSide; ++i) rgb[i] = static_cast<uint8_t>(draws());
  for (int i = 0; i < small.count(); ++i) small[i] = static_cast<uint8_t>(draws());
  Exactly<LevelTable> table(1);
  table[0].divides = mirror_before_padding ? 1 : 0;  // as 3.x does, and 2.x doesn't
  for (int c = 0; c < 3; ++c) {
    table[0].source_channel[c] = 2 - c;
    table[0].mean[c] = 120.f;
    table[0].deviation[c] = 0.5f;
    for (int level = 0; level < 256; ++level) table[0].value[c][level] = normalised(table[0], c, static_cast<float>(level));
  }
  Exactly<PictureJob> jobs(2);
  jobs[0] = {rgb.get(), 640, 480, 640, 480, 63, 15, 640, 480};
  jobs[1] = {small.get(), 320, 240, 640, 480, 63, 15, 640, 480};  // resized
  const InputView view{4, 2, 767, 511, mirror_before_padding};
  const int64_t pixels = int64_t{4} * 767 * 511;
  compare<kScalar>(
      std::string("the input") + name_of(kScalar), 3 * pixels, kImageThreads, 0, int64_t{view.views} * view.height_px * image_blocks_a_row(view),
      [&](HostContext& c, Raw* input) { fill_pixel<kScalar>(c, jobs.get(), table.get(), view, input); },
      [&](int64_t i) {
        const int64_t pixel = i / 3, at = pixel % (767 * 511), v = pixel / (767 * 511);
        const PictureJob& job = jobs[v / 2];
        const int row = static_cast<int>(at / 767) - job.top_px, column = source_column(job, view, static_cast<int>(at % 767), v % 2 == 1);
        if (column < 0 || row < 0 || row >= job.copied_height_px) return Element<kScalar>::store(0.f);
        const int channel = static_cast<int>(i % 3), byte = table[0].source_channel[channel];
        if (!is_resized(job)) return Element<kScalar>::store(table[0].value[channel][job.rgb[(int64_t{row} * 640 + column) * 3 + byte]]);
        const float level =
            resized_level(job, taps(row, job.height_px, job.source_height_px), taps(column, job.width_px, job.source_width_px), byte, load_byte);
        return Element<kScalar>::store(normalised(table[0], channel, level));
      });
}

/// Both kernels of decoding, whole, with as many blocks as given: the boxes do not depend on the order of threads, nor on that of the blocks.
template <Scalar kScalar, int kLanes>
void check_decoding(int64_t classes, int64_t height, int64_t width, int most_blocks) {
  using Raw = typename Element<kScalar>::Raw;
  const int64_t cells = height * width;
  std::vector<Exactly<Raw>> maps;
  DecodeJob job{};
  for (int side = 0; side < 2; ++side) {
    for (const int64_t channels : {classes, int64_t{1}, int64_t{2}}) maps.push_back(drawn<kScalar>(kViews * cells * channels));
    const auto strided = [&](int which, int64_t channels) {
      return StridedMap{maps[static_cast<size_t>(3 * side + which)].get(), cells * channels, 1, static_cast<uint32_t>(channels)};
    };
    job.side[side] = {strided(0, classes), strided(1, 1), strided(2, 2)};
  }
  job.views = static_cast<int>(kViews);
  job.classes = static_cast<int>(classes);
  job.height = static_cast<int>(height);
  job.width = static_cast<int>(width);
  job.channels_last = true;
  job.topk = 100;
  job.radius = 1;
  job.max_candidates = 1000;
  job.distance_threshold = 8.f;
  job.blocks = collecting_blocks(job, most_blocks);
  Exactly<ViewGeometry> geometry(kViews);
  for (int v = 0; v < kViews; ++v) geometry[v] = {3.99f, 3.99f, 63.f, 15.f};
  job.geometry = geometry.get();
  std::vector<Exactly<Candidate>> found;
  std::vector<Exactly<int>> counts;
  for (const LaneOrder order : kOrders) {
    Exactly<uint64_t> memory(scratch_keys(job));
    std::memset(memory.get(), 0, static_cast<size_t>(scratch_cleared_bytes(job)));
    const DecodeScratch scratch = scratch_of(job, memory.get());
    auto& boxes = found.emplace_back(kViews * job.max_candidates);
    auto& count = counts.emplace_back(kViews);
    std::vector<unsigned> all(static_cast<size_t>(2 * kViews * job.blocks));
    std::iota(all.begin(), all.end(), 0u);
    if (order == LaneOrder::Random) std::ranges::shuffle(all, draws);
    HostBlock(kCollectThreads, collect_shared_bytes<kLanes>(), order, draws()).run_some(all, [&](HostContext& c) {
      collect_peaks<kScalar, kLanes>(c, job, scratch);
    });
    HostBlock(kBoxesThreads, kBoxesSharedBytes, order, draws()).run(kViews, [&](HostContext& c) {
      best_boxes<kScalar>(c, job, scratch, boxes.get(), count.get());
    });
    for (int v = 0; v < kViews; ++v) {
      const std::string what = std::string("decoding") + name_of(kScalar);
      expect(count[v] > 0 && count[v] == counts[0][v], what + " finds " + std::to_string(count[v]) + " boxes");
      const size_t bytes = static_cast<size_t>(job.max_candidates) * sizeof(Candidate);  // what is behind the last is written too
      expect(std::memcmp(&boxes[v * job.max_candidates], &found[0][v * job.max_candidates], bytes) == 0, what + " depends on the order of threads");
    }
  }
}

template <Scalar kScalar>
void check_all() {
  using Tiles = PairTiles<typename Element<kScalar>::Raw>;
  constexpr int kPack = 16 / sizeof(typename Element<kScalar>::Raw);
  check_pair<kScalar, typename Tiles::Wide>(kViews, kHeight, kWidth, kChannels / 2);
  check_pair<kScalar, typename Tiles::Narrow>(kViews, kHeight, kWidth, kChannels / 2);
  check_scans<kScalar, 1>(kHeight - 1, kWidth - 1, 9);
  check_scans<kScalar, 2>(kHeight, kWidth, 64);
  check_scans<kScalar, 4>(kHeight, kWidth, 64);
  if constexpr (kPack == 8) check_scans<kScalar, 8>(kHeight, kWidth, 64);
  check_upsampling<kScalar, kPack>(4, 6, 8, 12, 384);
  check_upsampling<kScalar, kPack>(64, 96, kHeight, kWidth, kChannels);
  check_upsampling<kScalar, 1>(64, 96, kHeight - 1, kWidth - 1, 3);
  for (const bool mmdet3 : {false, true}) check_image<kScalar>(mmdet3);
  check_decoding<kScalar, kPack>(kClasses, kHeight / 2, kWidth / 2, 12);
  check_decoding<kScalar, 1>(3, kHeight, kWidth, 24);
}

/// Each thread reads what its neighbour writes, with no barrier between: in ascending order the results look right.
void run_racy() {
  HostBlock(64, 64 * sizeof(int), LaneOrder::Ascending).run(1, [](HostContext& context) {
    int* const shared = reinterpret_cast<int*>(context.shared());
    shared[context.thread()] = context.thread();
    context.shuffle(0, 0);  // orders threads, but not their memory
    const int neighbour = shared[context.thread() ^ 32];
    context.sync();
    shared[context.thread()] = neighbour;
  });
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "racy") {
    run_racy();
    return 0;
  }
  check_all<Scalar::Float32>();
  check_all<Scalar::Float16>();
#ifndef __SANITIZE_THREAD__
  check_all<Scalar::BFloat16>();  // whose threads do what those of fp16 do
#endif
  std::printf("the kernels' bodies: %d failures\n", failures);
  return failures > 0;
}
