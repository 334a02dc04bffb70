#include "engine/detector.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "checkpoint/checkpoint.h"
#include "engine/architecture.h"
#include "engine/config.h"
#include "engine/device.h"
#include "engine/guarded.h"
#include "engine/predictor.h"
#include "ops/soft_nms.h"
#include "runtime/error.h"
#include "runtime/machine.h"

namespace cornernet {
namespace {

void require(bool holds, const char* sentence) {
  if (!holds) throw Error(ErrorCode::Option, sentence);
}

void check_options(const DetectOptions& options) {
  for (const float deviation : options.normalisation.std) require(deviation > 0, "std must be positive in every channel");
  require(options.decode.corner_topk >= 1, "cornerTopk must be at least 1");
  require(options.decode.local_maximum_kernel >= 1 && options.decode.local_maximum_kernel % 2 == 1, "localMaximumKernel must be odd and at least 1");
  require(options.nms.sigma > 0, "softNms.sigma must be positive");
  require(options.nms.max_per_image >= 1, "maxPerImage must be at least 1");
}

PictureView view_of(const Picture& picture) {
  const size_t bytes = size_t{3} * static_cast<size_t>(picture.width_px) * static_cast<size_t>(picture.height_px);
  if (picture.width_px < 1 || picture.height_px < 1 || picture.rgb.size() != bytes) {
    throw Error(ErrorCode::Input, "a picture's bytes do not match its width and height");
  }
  return {picture.rgb.data(), picture.width_px, picture.height_px};
}

/// The mirrored view's boxes as the plain picture has them.
void unmirror(std::vector<Candidate>& candidates, int width_px) {
  const auto width = static_cast<float>(width_px);
  for (Candidate& c : candidates) c = {width - c.x2, c.y1, width - c.x1, c.y2, c.score, c.class_id};
}

/// One picture's candidates from its views (plain, mirrored) to its detections.
std::vector<Candidate> merge_views(CandidateLists views, int width_px, Numerics numerics, const SoftNmsOptions& nms) {
  if (views.size() == 1) return soft_nms(std::move(views[0]), nms);
  unmirror(views[1], width_px);
  if (numerics == Numerics::Mmdet3) {  // 3.x thins each view by itself, takes the mirrored one first and thins again
    for (auto& view : views) view = soft_nms(std::move(view), nms);
    std::swap(views[0], views[1]);
  }
  views[0].insert(views[0].end(), views[1].begin(), views[1].end());
  return soft_nms(std::move(views[0]), nms);
}

void keep_wanted(std::vector<Candidate>& detections, const DetectOptions& options) {
  const std::set<int> wanted(options.class_ids.begin(), options.class_ids.end());
  std::erase_if(detections,
                [&](const Candidate& c) { return c.score < options.score_threshold || (!wanted.empty() && !wanted.contains(c.class_id)); });
}

/// Pictures that shared their forwards.
struct Group {
  std::vector<size_t> members;  // by place in the call
  std::vector<int> widths_px;
  std::function<CandidateLists()> candidates;
  std::shared_ptr<DeviceClock> clock;  // null when nobody asked for timings
};

void finish(const Group& group, const DetectOptions& options, Found& found) {
  CandidateLists candidates = group.candidates();
  const auto thinning = std::chrono::steady_clock::now();
  const size_t each = candidates.size() / group.members.size();
  for (size_t m = 0; m < group.members.size(); ++m) {
    const auto first = std::make_move_iterator(candidates.begin() + static_cast<std::ptrdiff_t>(m * each));
    auto& of_picture = found.detections[group.members[m]];
    of_picture = merge_views({first, first + static_cast<std::ptrdiff_t>(each)}, group.widths_px[m], options.numerics, options.nms);
    keep_wanted(of_picture, options);
  }
  if (!group.clock) return;
  const std::chrono::duration<double, std::milli> nms_ms = std::chrono::steady_clock::now() - thinning;
  const auto ms = group.clock->milliseconds(kStages);
  const int pictures = static_cast<int>(group.members.size());
  for (const size_t i : group.members) {
    found.timings[i] = {group.clock->begun_ms(), ms[kPrepare], ms[kNetwork], ms[kCorners], nms_ms.count(), pictures};
  }
}

void check_shape(const ForwardShape& shape) {
  constexpr int kMostPx = 1 << 20, kMostViews = 1 << 16;
  require(shape.width_px >= 1 && shape.height_px >= 1 && shape.width_px <= kMostPx && shape.height_px <= kMostPx,
          "width and height must be 1 to 1048576 pixels");
  require(shape.views >= 1 && shape.views <= kMostViews, "views must be 1 to 65536");
}

Map to_map(const at::Tensor& tensor) {
  const at::Tensor values = tensor.select(0, 0).to(at::kCPU, at::kFloat).contiguous();
  Map map;
  map.shape = {values.size(0), values.size(1), values.size(2)};
  map.values.assign(values.const_data_ptr<float>(), values.const_data_ptr<float>() + values.numel());
  return map;
}

}  // namespace

std::vector<Candidate> merge_detections(std::vector<Candidate> detections, const DetectOptions& options) {
  check_options(options);
  auto merged = soft_nms(std::move(detections), options.nms);
  keep_wanted(merged, options);
  return merged;
}

struct Detector::Impl {
  DetectorInfo info;
  DetectOptions defaults;
  std::optional<Predictor> predictor;
  int64_t pictures = 0;

  void load(const LoadOptions& options);
};

void Detector::Impl::load(const LoadOptions& options) {
  const c10::Device device = resolve_device(options.device);
  const c10::ScalarType dtype = resolve_precision(options.precision, device);
  // Counts for the calling thread's OpenMP teams, so it is set on the thread that will run the network.
  at::set_num_threads(options.threads > 0 ? options.threads : usable_cores());

  Checkpoint checkpoint = load_checkpoint(options.path);
  StatedConfig stated = parse_config(checkpoint.meta.config);
  const CornerNetConfig architecture = derive_architecture(checkpoint.tensors);
  cross_check(architecture, stated);
  CornerNet network(architecture);
  assign_parameters(network, checkpoint.tensors);
  checkpoint.tensors.clear();  // the network holds what it needs, and frees it bit by bit while it packs

  info.device = device.str();
  info.precision = precision_name(dtype);
  info.threads = at::get_num_threads();
  info.classes = checkpoint.meta.classes;
  info.num_classes = static_cast<int>(architecture.head.num_classes);
  defaults = std::move(stated.options);
  predictor.emplace(std::move(network), architecture, dtype, device, CudaRules{options.tf32, options.deterministic, options.cuda_graphs});
}

Detector::Detector(const LoadOptions& options) : impl_(std::make_unique<Impl>()) {
  guarded([&] { impl_->load(options); });
}

Detector::~Detector() = default;

const DetectorInfo& Detector::info() const { return impl_->info; }
const DetectOptions& Detector::defaults() const { return impl_->defaults; }
DetectorStats Detector::stats() const {
  return {impl_->pictures, impl_->predictor->forwards(), impl_->predictor->views(), impl_->predictor->weight_bytes()};
}

std::function<Found()> Detector::start(const std::vector<Picture>& pictures, const DetectOptions& options) {
  return guarded([&]() -> std::function<Found()> {
    check_options(options);
    // Corner pooling looks along whole rows and columns, so only pictures of one padded size may share a forward.
    std::map<std::pair<int, int>, Group> by_padded_size;
    for (size_t i = 0; i < pictures.size(); ++i) {
      by_padded_size[{padded_size_px(pictures[i].height_px), padded_size_px(pictures[i].width_px)}].members.push_back(i);
    }
    std::vector<Group> groups;
    for (auto& [size, group] : by_padded_size) {
      std::vector<PictureView> views;
      for (const size_t i : group.members) {
        views.push_back(view_of(pictures[i]));
        group.widths_px.push_back(pictures[i].width_px);
      }
      if (options.timings) group.clock = impl_->predictor->clock();
      group.candidates = impl_->predictor->start(views, options, group.clock.get());
      impl_->pictures += static_cast<int64_t>(group.members.size());
      groups.push_back(std::move(group));
    }
    return [groups = std::move(groups), count = pictures.size(), options] {
      return guarded([&] {
        Found found{CandidateLists(count), std::vector<StageTimes>(options.timings ? count : 0)};
        for (const Group& group : groups) finish(group, options, found);
        return found;
      });
    };
  });
}

Heads Detector::heads(const Picture& picture, const DetectOptions& options) {
  return guarded([&] {
    check_options(options);
    const HeadMaps maps = impl_->predictor->maps(view_of(picture), options);
    const Placement placement = place(picture.width_px, picture.height_px);
    const auto corner = [](const CornerMaps& of) { return Heads::Side{to_map(of.heat), to_map(of.emb), to_map(of.off)}; };
    return Heads{corner(maps.tl), corner(maps.br), placement.padded_width_px, placement.padded_height_px, placement.left_px, placement.top_px};
  });
}

std::vector<Work> Detector::work(const ForwardShape& shape) const {
  return guarded([&] {
    check_shape(shape);
    return impl_->predictor->work(shape.views, padded_size_px(shape.height_px), padded_size_px(shape.width_px));
  });
}

std::vector<Work> hourglass104_work(const ForwardShape& shape, const std::string& precision) {
  return guarded([&] {
    check_shape(shape);
    const auto dtype = precision == "fp32" ? at::kFloat : precision == "bf16" ? at::kBFloat16 : at::kHalf;
    return CornerNet(CornerNetConfig{}).work(shape.views, padded_size_px(shape.height_px), padded_size_px(shape.width_px), dtype);
  });
}

}  // namespace cornernet
