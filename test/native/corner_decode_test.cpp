// From heatmaps to boxes, and the CUDA kernels' bodies, against the definition.
#include "ops/corner_decode.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <utility>

#include "gpu_calls.h"
#include "host_block.h"
#include "op_cases.h"
#include "ops/cuda/corner_decode.h"
#include "ops/cuda/corner_decode_body.cuh"
#include "runtime/interrupt.h"
#include "test.h"

using namespace cornernet;
using namespace cornernet::testing;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

struct Peak {
  double score;
  int64_t index;
};

/// The definition, written down without a thought for speed.
std::vector<Peak> naive_peaks(const at::Tensor& logits, const DecodeOptions& options) {
  const at::Tensor scores = at::sigmoid(logits.to(at::kFloat)).contiguous();
  const auto s = scores.accessor<float, 3>();
  const int64_t classes = scores.size(0), height = scores.size(1), width = scores.size(2), reach = options.local_maximum_kernel / 2;
  std::vector<Peak> peaks;
  for (int64_t c = 0; c < classes; ++c) {
    for (int64_t y = 0; y < height; ++y) {
      for (int64_t x = 0; x < width; ++x) {
        bool peak = s[c][y][x] > 0;
        for (int64_t j = y - reach; j <= y + reach; ++j) {
          for (int64_t i = x - reach; i <= x + reach; ++i) {
            if (j >= 0 && j < height && i >= 0 && i < width && !(s[c][j][i] <= s[c][y][x])) peak = false;
          }
        }
        if (peak) peaks.push_back({s[c][y][x], (c * height + y) * width + x});
      }
    }
  }
  std::stable_sort(peaks.begin(), peaks.end(), [](const Peak& a, const Peak& b) { return a.score > b.score; });
  peaks.resize(std::min(peaks.size(), static_cast<size_t>(options.corner_topk)));
  return peaks;
}

std::vector<Corner> naive_corners(const CornerMaps& maps, int64_t view, const ViewGeometry& g, const DecodeOptions& options) {
  const at::Tensor heat = maps.heat[view], emb = maps.emb[view], off = maps.off[view];
  const int64_t height = heat.size(1), width = heat.size(2);
  std::vector<Corner> corners;
  for (const Peak& peak : naive_peaks(heat, options)) {
    const int64_t x = peak.index % width, y = peak.index / width % height;
    const float px = (static_cast<float>(x) + off[0][y][x].item<float>()) * g.scale_x - g.left_px;
    const float py = (static_cast<float>(y) + off[1][y][x].item<float>()) * g.scale_y - g.top_px;
    corners.push_back({std::max(px, 0.f), std::max(py, 0.f), static_cast<float>(peak.score), emb[0][y][x].item<float>(),
                       static_cast<int>(peak.index / width / height)});
  }
  return corners;
}

std::vector<Candidate> naive_decode(const HeadMaps& maps, int64_t view, const ViewGeometry& geometry, const DecodeOptions& options) {
  const auto tls = naive_corners(maps.tl, view, geometry, options), brs = naive_corners(maps.br, view, geometry, options);
  std::vector<Candidate> pairs;
  for (const Corner& tl : tls) {
    for (const Corner& br : brs) {
      if (tl.class_id != br.class_id || br.x <= tl.x || br.y <= tl.y || std::abs(tl.embedding - br.embedding) > options.distance_threshold) continue;
      pairs.push_back({tl.x, tl.y, br.x, br.y, (tl.score + br.score) / 2, tl.class_id});
    }
  }
  std::stable_sort(pairs.begin(), pairs.end(), [](const Candidate& a, const Candidate& b) { return a.score > b.score; });
  pairs.resize(std::min(pairs.size(), static_cast<size_t>(options.max_candidates)));
  return pairs;
}

struct Case {
  std::string name;
  HeadMaps maps;
  std::vector<ViewGeometry> views;
  DecodeOptions options;
};

HeadMaps draw_maps(int64_t views, int64_t classes, int64_t height, int64_t width, at::MemoryFormat format, at::ScalarType type) {
  const auto map = [&](int64_t channels, double scale) { return at::randn({views, channels, height, width}).mul(scale).to(type).contiguous(format); };
  const auto corner = [&] { return CornerMaps{map(classes, 2), map(1, 0.4), map(2, 0.3)}; };
  return {corner(), corner()};
}

std::vector<ViewGeometry> geometry_of(int64_t views) {
  std::vector<ViewGeometry> list;
  for (int64_t v = 0; v < views; ++v) list.push_back({3.96875f, 3.9948f, 5.f + static_cast<float>(v), 11.f});
  return list;
}

/// In the second of two views.
std::vector<std::pair<std::string, std::function<void(HeadMaps&)>>> damages() {
  return {{"NaN in a heatmap's last element", [](HeadMaps& maps) { maps.tl.heat[1][2][39][40] = kNan; }},
          {"NaN in the other heatmap", [](HeadMaps& maps) { maps.br.heat[1][0][0][0] = kNan; }},
          {"infinity in a heatmap", [](HeadMaps& maps) { maps.br.heat[1][1][7][9] = kInfinity; }},
          {"minus infinity in a heatmap", [](HeadMaps& maps) { maps.tl.heat[1][1][7][9] = -kInfinity; }},
          {"NaN all over", [](HeadMaps& maps) { maps.tl.heat[1].fill_(kNan); }},
          {"NaN in the embeddings", [](HeadMaps& maps) { maps.tl.emb[1].fill_(kNan); }},
          {"infinity in the offsets", [](HeadMaps& maps) { maps.br.off[1][1].fill_(-kInfinity); }},
          {"NaN in the offsets where no peak is", [](HeadMaps& maps) {
             maps.br.heat[1].fill_(-1000.f);
             maps.br.off[1].fill_(kNan);
           }}};
}

std::vector<Case> cases() {
  at::manual_seed(5);
  std::vector<Case> list;
  const auto add = [&](const std::string& name, HeadMaps maps, DecodeOptions options = {}) {
    const int64_t views = maps.tl.heat.size(0);
    list.push_back({name, std::move(maps), geometry_of(views), options});
  };
  for (const auto format : {at::MemoryFormat::ChannelsLast, at::MemoryFormat::Contiguous}) {
    const std::string layout = format == at::MemoryFormat::ChannelsLast ? "channels-last" : "contiguous";
    add("random " + layout, draw_maps(2, 7, 19, 23, format, at::kFloat));
    add("bf16 " + layout, draw_maps(2, 5, 16, 17, format, at::kBFloat16));
    add("fp16 " + layout, draw_maps(1, 5, 16, 17, format, at::kHalf));
  }
  HeadMaps maps = draw_maps(1, 3, 20, 20, at::MemoryFormat::ChannelsLast, at::kFloat);
  maps.tl.heat.fill_(0.5f);
  maps.br.heat.fill_(0.25f);
  add("one plateau", maps);
  for (const float near : {9.875f, 15.8125f}) {  // where many logits have one score, of which the lower index comes first
    maps = draw_maps(1, 12, 20, 20, at::MemoryFormat::ChannelsLast, at::kFloat);
    maps.tl.heat.fill_(near);
    maps.br.heat.fill_(near);
    add("a plateau of nearly 1", maps);
  }
  maps = draw_maps(1, 3, 20, 20, at::MemoryFormat::ChannelsLast, at::kFloat);
  maps.tl.heat.mul_(20).add_(20);  // sigmoids that round to 1
  maps.br.heat.mul_(20).add_(20);
  add("saturated", maps);
  maps = draw_maps(1, 3, 12, 12, at::MemoryFormat::ChannelsLast, at::kFloat);
  maps.tl.heat[0][1].fill_(-100.f);
  maps.br.heat[0][0][0][5] = 100.f;
  add("no score and the highest", maps);
  maps = draw_maps(1, 2, 8, 8, at::MemoryFormat::ChannelsLast, at::kFloat);
  maps.tl.heat.fill_(-1000.f);
  add("nothing at all", maps);
  for (const auto& [name, change] : damages()) {
    for (const auto format : {at::MemoryFormat::ChannelsLast, at::MemoryFormat::Contiguous}) {
      for (const auto type : {at::kFloat, at::kHalf, at::kBFloat16}) {
        maps = draw_maps(2, 3, 40, 41, format, type);  // two tiles of the CUDA kernels a view
        change(maps);
        add(name, maps);
      }
    }
  }
  add("one cell", draw_maps(1, 1, 1, 1, at::MemoryFormat::Contiguous, at::kFloat));
  DecodeOptions options;
  options.corner_topk = 7;
  options.max_candidates = 5;
  options.local_maximum_kernel = 5;
  options.distance_threshold = 0.f;
  add("other options", draw_maps(2, 2, 15, 14, at::MemoryFormat::ChannelsLast, at::kFloat), options);
  options.corner_topk = 200;
  options.max_candidates = 1000;
  options.local_maximum_kernel = 1;
  options.distance_threshold = 10.f;
  add("many pairs", draw_maps(1, 2, 30, 30, at::MemoryFormat::ChannelsLast, at::kFloat), options);
  options = {};
  options.corner_topk = 200;  // of 27 tiles: more keys than one sort of the CUDA kernels takes
  add("more keys than a sort takes", draw_maps(1, 12, 96, 96, at::MemoryFormat::ChannelsLast, at::kFloat), options);
  return list;
}

/// `slack` is 0 between two of ours, and an fp32 rounding or two against the definition, which takes the sigmoid from ATen.
void check_same(const std::string& name, const std::vector<Candidate>& got, const std::vector<Candidate>& wanted, float slack) {
  check(got.size() == wanted.size(), name, ": ", got.size(), " candidates, not ", wanted.size());
  for (size_t i = 0; i < got.size(); ++i) {
    const Candidate &a = got[i], &b = wanted[i];
    check(std::abs(a.score - b.score) <= slack, name, ": score ", i, " is ", a.score, ", not ", b.score);
    const auto same_box = [&](const Candidate& c) {
      return c.x1 == a.x1 && c.y1 == a.y1 && c.x2 == a.x2 && c.y2 == a.y2 && c.class_id == a.class_id;
    };
    if (slack == 0) {
      check(same_box(b), name, ": box ", i, " is another");
    } else {  // scores within a rounding of each other may have changed places
      check(std::any_of(wanted.begin(), wanted.end(), same_box), name, ": box ", i, " is none of the expected");
    }
  }
}

/// What a launch's blocks had to do.
struct BodyWork {
  int64_t collect_blocks = 0, collect_syncs = 0, boxes_syncs = 0;
};

/// As decode_corners launches them, with at most so many blocks of the first kernel.
template <cuda::Scalar kScalar, int kLanes>
DecodedViews run_bodies(const Case& c, int most_blocks, LaneOrder order, BodyWork* work = nullptr) {
  cuda::DecodeJob job = cuda::decode_job(c.maps, c.options);
  job.geometry = c.views.data();
  job.blocks = cuda::collecting_blocks(job, most_blocks);
  const auto maps = static_cast<unsigned>(2 * job.views);
  std::vector<uint64_t> memory(static_cast<size_t>(cuda::scratch_keys(job)), ~uint64_t{0});
  std::memset(memory.data(), 0, static_cast<size_t>(cuda::scratch_cleared_bytes(job)));
  const cuda::DecodeScratch scratch = cuda::scratch_of(job, memory.data());
  std::vector<Candidate> found(static_cast<size_t>(job.views * job.max_candidates));
  std::vector<int> counts(static_cast<size_t>(job.views), -1);
  HostBlock collect(cuda::kCollectThreads, cuda::collect_shared_bytes<kLanes>(), order), boxes(cuda::kBoxesThreads, cuda::kBoxesSharedBytes, order);
  collect.run(maps * job.blocks, [&](HostContext& context) { cuda::collect_peaks<kScalar, kLanes>(context, job, scratch); });
  boxes.run(static_cast<unsigned>(job.views),
            [&](HostContext& context) { cuda::best_boxes<kScalar>(context, job, scratch, found.data(), counts.data()); });
  if (work != nullptr) *work = {int64_t{maps} * job.blocks, collect.syncs(), boxes.syncs()};
  DecodedViews decoded;
  for (int v = 0; v < job.views; ++v) {
    check(counts[v] >= -1 && counts[v] <= job.max_candidates, c.name, ": the count is ", counts[v]);
    const auto first = found.begin() + v * job.max_candidates;
    decoded.push_back({{first, first + std::max(counts[v], 0)}, counts[v] >= 0});
  }
  return decoded;
}

/// With packs where the heatmaps are made of whole ones, as the launcher chooses.
template <cuda::Scalar kScalar, int kLanes>
DecodedViews run_widest(const Case& c, int most_blocks, LaneOrder order) {
  const at::Tensor& heat = c.maps.tl.heat;
  if (heat.stride(1) == 1 && heat.size(1) % kLanes == 0) return run_bodies<kScalar, kLanes>(c, most_blocks, order);
  return run_bodies<kScalar, 1>(c, most_blocks, order);
}

DecodedViews run_typed(const Case& c, int most_blocks, LaneOrder order) {
  const at::ScalarType type = c.maps.tl.heat.scalar_type();
  if (type == at::kFloat) return run_widest<cuda::Scalar::Float32, 4>(c, most_blocks, order);
  if (type == at::kHalf) return run_widest<cuda::Scalar::Float16, 8>(c, most_blocks, order);
  return run_widest<cuda::Scalar::BFloat16, 8>(c, most_blocks, order);
}

bool is_finite_view(const CornerMaps& maps, int64_t view, const ViewGeometry& geometry, const DecodeOptions& options) {
  if (!at::isfinite(maps.heat[view]).all().item<bool>()) return false;
  const int64_t height = maps.heat.size(2), width = maps.heat.size(3);
  for (const Peak& peak : naive_peaks(maps.heat[view], options)) {
    const int64_t x = peak.index % width, y = peak.index / width % height;
    for (const at::Tensor& value :
         {maps.emb[view][0][y][x], maps.off[view][0][y][x].mul(geometry.scale_x), maps.off[view][1][y][x].mul(geometry.scale_y)})
      if (!std::isfinite(value.item<float>())) return false;
  }
  return true;
}

void check_all(const Case& c, const DecodedViews& got, float slack) {
  check(got.size() == c.views.size(), c.name, ": ", got.size(), " views");
  for (size_t v = 0; v < got.size(); ++v) {
    const auto view = static_cast<int64_t>(v);
    const bool finite = is_finite_view(c.maps.tl, view, c.views[v], c.options) && is_finite_view(c.maps.br, view, c.views[v], c.options);
    check(got[v].finite == finite, c.name, ": view ", v, " is taken to be ", got[v].finite ? "finite" : "damaged");
    check_same(c.name, got[v].candidates, finite ? naive_decode(c.maps, view, c.views[v], c.options) : std::vector<Candidate>(), slack);
  }
}

// Two roundings of fp32 at 1: exp by ATen's vectors and by the C library may differ by one each.
constexpr float kSigmoidSlack = 2.4e-7f;

const Registration on_cpu("corner_decode: every layout, type and content gives what the definition says (CPU)", [] {
  for (const Case& c : cases()) check_all(c, decode_corners(c.maps, c.views, c.options), kSigmoidSlack);
});

const Registration bodies("corner_decode: the CUDA bodies on the CPU give what the definition says, whatever the blocks and the order", [] {
  for (const Case& c : cases()) {
    const DecodedViews once = run_typed(c, 1, LaneOrder::Ascending);
    check_all(c, once, kSigmoidSlack);
    const DecodedViews shared = run_typed(c, 24, LaneOrder::Descending);
    for (size_t v = 0; v < once.size(); ++v) check_same(c.name, shared[v].candidates, once[v].candidates, 0);
  }
});

const Registration real_shape("corner_decode: at HourglassNet-104's shape the CUDA bodies equal the CPU's, ties included, and sort seldom", [] {
  at::manual_seed(8);
  // A 640x480 photograph and its mirrored view; noise has a peak in every ninth place, far more than a network gives.
  Case c{"real shape", draw_maps(2, 80, 128, 192, at::MemoryFormat::ChannelsLast, at::kHalf), geometry_of(2), {}};
  c.maps.br.heat.mul_(2).round_().div_(2);  // plateaus
  BodyWork work;
  constexpr int kBlocks = 6 * 80;  // a V100's
  const DecodedViews got = run_bodies<cuda::Scalar::Float16, 8>(c, kBlocks, LaneOrder::Ascending, &work);
  const DecodedViews expected = decode_corners(c.maps, c.views, c.options);
  for (size_t v = 0; v < got.size(); ++v) check_same(c.name, got[v].candidates, expected[v].candidates, 0);
  // A block syncs once a step, and 38 times for a sort of 256 keys, of which it makes four: each time twice as many have reached the floor, and one
  // at its end.
  constexpr int64_t kSteps = int64_t{80} * 128 * 192 / 8 / (cuda::kCollectThreads * kBlocks / 4);
  check(work.collect_blocks == kBlocks && work.collect_syncs <= kBlocks * (kSteps + 4 * 38 + 5), work.collect_syncs, " syncs of ",
        work.collect_blocks, " blocks");
  check(work.boxes_syncs <= 2 * 400, work.boxes_syncs, " syncs for the boxes of two views");
});

const Registration on_gpu("corner_decode: every layout, type and content gives what the definition says (GPU)", [] {
  skip_without_gpu();
  for (const Case& c : cases()) {
    check_all(c, decode_on_gpu(c.maps, c.views, c.options), kSigmoidSlack);
  }
});

const Registration threads("corner_decode: results do not depend on the number of threads", [] {
  for (const Case& c : cases()) {
    const auto on_threads = [&](int count) {
      const Threads threads(count);
      return decode_corners(c.maps, c.views, c.options);
    };
    const auto one = on_threads(1), three = on_threads(3);
    for (size_t v = 0; v < one.size(); ++v) check_same(c.name, three[v].candidates, one[v].candidates, 0);
  }
});

const Registration wrong("corner_decode: wrong input is refused with a code", [] {
  const HeadMaps good = draw_maps(2, 3, 8, 8, at::MemoryFormat::ChannelsLast, at::kFloat);
  const auto refuse = [&](const std::string& part, auto change) {
    Case c{"", good, geometry_of(2), {}};
    change(c);
    const std::string sentence = refused(ErrorCode::Input, [&] { decode_corners(c.maps, c.views, c.options); });
    check(contains(sentence, part), sentence);
  };
  refuse("geometry", [](Case& c) { c.views.pop_back(); });
  refuse("two heatmaps", [](Case& c) { c.maps.br.heat = at::zeros({2, 4, 8, 8}); });
  refuse("embeddings", [](Case& c) { c.maps.tl.emb = at::zeros({2, 2, 8, 8}); });
  refuse("offsets", [](Case& c) { c.maps.br.off = at::zeros({2, 2, 8, 7}); });
  refuse("top-k", [](Case& c) { c.options.corner_topk = 0; });
  refuse("odd", [](Case& c) { c.options.local_maximum_kernel = 2; });
  refuse("four dimensions", [](Case& c) { c.maps.tl.heat = at::zeros({3, 8, 8}); });
});

const Registration large("corner_decode: ten thousand corners a side are paired in little memory, and given up when asked", [] {
  HeadMaps maps = draw_maps(1, 1, 100, 100, at::MemoryFormat::Contiguous, at::kFloat);
  for (CornerMaps* const corner : {&maps.tl, &maps.br}) corner->emb.zero_();
  DecodeOptions options;
  options.corner_topk = 10'000;
  options.local_maximum_kernel = 1;
  // 25 million pairs are boxes: 600 MB of them.
  DecodedViews decoded;
  const long growth = peak_growth([&] { decoded = decode_corners(maps, geometry_of(1), options); });
  check(decoded[0].candidates.size() == 1000 && growth < 50'000'000, decoded[0].candidates.size(), " candidates took ", growth, " bytes");

  const std::atomic<bool> given_up{true};
  const Meanwhile asked(interrupt_flag, &given_up);
  const std::string sentence = refused(ErrorCode::Closed, [&] { decode_corners(maps, geometry_of(1), options); });
  check(contains(sentence, "given up"), sentence);
});

}  // namespace
