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
#include "checkpoint/config.h"
#include "engine/architecture.h"
#include "engine/device.h"
#include "engine/guarded.h"
#include "engine/predictor.h"
#include "ops/soft_nms.h"
#include "runtime/error.h"
#include "runtime/machine.h"

namespace cornernet {
namespace {

template <typename T>
void take(const std::optional<T>& stated, T& setting) {
  if (stated) setting = *stated;
}

Settings settings_of(const ConfigSettings& stated) {
  Settings settings;
  take(stated.mean, settings.mean);
  take(stated.std, settings.std);
  take(stated.to_rgb, settings.to_rgb);
  take(stated.corner_topk, settings.corner_topk);
  take(stated.local_maximum_kernel, settings.local_maximum_kernel);
  take(stated.distance_threshold, settings.distance_threshold);
  take(stated.max_per_image, settings.max_per_image);
  take(stated.nms_method, settings.nms_method);
  take(stated.nms_iou_threshold, settings.nms_iou_threshold);
  take(stated.nms_sigma, settings.nms_sigma);
  take(stated.nms_min_score, settings.nms_min_score);
  return settings;
}

void require(bool holds, const char* sentence) {
  if (!holds) throw Error(ErrorCode::Option, sentence);
}

Normalisation normalisation_of(const Settings& settings) {
  for (const float deviation : settings.std) require(deviation > 0, "std must be positive in every channel");
  return {settings.mean, settings.std, settings.to_rgb};
}

DecodeOptions decode_of(const Settings& settings) {
  require(settings.corner_topk >= 1, "cornerTopk must be at least 1");
  require(settings.local_maximum_kernel >= 1 && settings.local_maximum_kernel % 2 == 1, "localMaximumKernel must be odd and at least 1");
  DecodeOptions options;
  options.corner_topk = settings.corner_topk;
  options.local_maximum_kernel = settings.local_maximum_kernel;
  options.distance_threshold = settings.distance_threshold;
  return options;
}

SoftNmsOptions nms_of(const Settings& settings) {
  static const std::map<std::string, SoftNmsMethod> kMethods{
      {"naive", SoftNmsMethod::Naive}, {"linear", SoftNmsMethod::Linear}, {"gaussian", SoftNmsMethod::Gaussian}};
  const auto method = kMethods.find(settings.nms_method);
  require(method != kMethods.end(), "softNms.method must be 'gaussian', 'linear' or 'naive'");
  require(settings.nms_sigma > 0, "softNms.sigma must be positive");
  require(settings.max_per_image >= 1, "maxPerImage must be at least 1");
  return {method->second, settings.nms_iou_threshold, settings.nms_sigma, settings.nms_min_score, settings.max_per_image};
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
std::vector<Candidate> merge_views(CandidateLists views, int width_px, bool mmdet3, const SoftNmsOptions& nms) {
  if (views.size() == 1) return soft_nms(std::move(views[0]), nms);
  unmirror(views[1], width_px);
  if (mmdet3) {  // 3.x thins each view by itself, takes the mirrored one first and thins again
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

void finish(const Group& group, const DetectOptions& options, const SoftNmsOptions& nms, Found& found) {
  CandidateLists candidates = group.candidates();
  const auto thinning = std::chrono::steady_clock::now();
  const size_t each = candidates.size() / group.members.size();
  for (size_t m = 0; m < group.members.size(); ++m) {
    const auto first = std::make_move_iterator(candidates.begin() + static_cast<std::ptrdiff_t>(m * each));
    auto& of_picture = found.detections[group.members[m]];
    of_picture = merge_views({first, first + static_cast<std::ptrdiff_t>(each)}, group.widths_px[m], options.mmdet3, nms);
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

}  // namespace

std::vector<Candidate> merge_detections(std::vector<Candidate> detections, const DetectOptions& options) {
  auto merged = soft_nms(std::move(detections), nms_of(options.settings));
  keep_wanted(merged, options);
  return merged;
}

namespace {

void check_size(int width_px, int height_px, int views) {
  constexpr int kMostPx = 1 << 20, kMostViews = 1 << 16;
  require(width_px >= 1 && height_px >= 1 && width_px <= kMostPx && height_px <= kMostPx, "width and height must be 1 to 1048576 pixels");
  require(views >= 1 && views <= kMostViews, "views must be 1 to 65536");
}

Map to_map(const at::Tensor& tensor) {
  const at::Tensor values = tensor.select(0, 0).to(at::kCPU, at::kFloat).contiguous();
  Map map;
  map.shape = {values.size(0), values.size(1), values.size(2)};
  map.values.assign(values.const_data_ptr<float>(), values.const_data_ptr<float>() + values.numel());
  return map;
}

}  // namespace

struct Detector::Impl {
  DetectorInfo info;
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
  const ConfigSettings stated = parse_config(checkpoint.meta.config);
  const CornerNetConfig architecture = derive_architecture(checkpoint.tensors);
  cross_check(architecture, stated);
  CornerNet network(architecture);
  assign_parameters(network, checkpoint.tensors);
  for (const auto& [name, tensor] : checkpoint.tensors) info.num_parameters += tensor.is_floating_point() ? tensor.numel() : 0;
  checkpoint.tensors.clear();  // the network holds what it needs, and frees it bit by bit while it packs

  info.device = device.str();
  info.precision = precision_name(dtype);
  info.threads = at::get_num_threads();
  info.classes = checkpoint.meta.classes;
  info.num_classes = static_cast<int>(architecture.head.num_classes);
  info.num_stacks = static_cast<int>(architecture.backbone.num_stacks);
  info.framework = checkpoint.meta.framework;
  info.settings = settings_of(stated);
  predictor.emplace(std::move(network), architecture, dtype, device, CudaRules{options.tf32, options.deterministic, options.cuda_graphs});
}

Detector::Detector(const LoadOptions& options) : impl_(std::make_unique<Impl>()) {
  guarded([&] { impl_->load(options); });
}

Detector::~Detector() = default;

const DetectorInfo& Detector::info() const { return impl_->info; }
DetectorStats Detector::stats() const { return {impl_->pictures, impl_->predictor->forwards(), impl_->predictor->views()}; }
DetectorMemory Detector::memory() const { return {impl_->predictor->weight_bytes()}; }

std::function<Found()> Detector::start(const std::vector<Picture>& pictures, const DetectOptions& options) {
  return guarded([&]() -> std::function<Found()> {
    Predictor::Request request;
    request.flip = options.flip;
    request.numerics = options.mmdet3 ? Numerics::Mmdet3 : Numerics::Mmdet2;
    request.normalisation = normalisation_of(options.settings);
    request.decode = decode_of(options.settings);
    const SoftNmsOptions nms = nms_of(options.settings);

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
      group.candidates = impl_->predictor->start(views, request, group.clock.get());
      impl_->pictures += static_cast<int64_t>(group.members.size());
      groups.push_back(std::move(group));
    }
    return [groups = std::move(groups), count = pictures.size(), options, nms] {
      return guarded([&] {
        Found found{CandidateLists(count), std::vector<StageTimes>(options.timings ? count : 0)};
        for (const Group& group : groups) finish(group, options, nms, found);
        return found;
      });
    };
  });
}

Heads Detector::heads(const Picture& picture, const Settings& settings) {
  return guarded([&] {
    const CornerMaps maps = impl_->predictor->maps(view_of(picture), normalisation_of(settings));
    const Placement placement = place(picture.width_px, picture.height_px);
    return Heads{to_map(maps.tl_heat), to_map(maps.br_heat),      to_map(maps.tl_emb),        to_map(maps.br_emb), to_map(maps.tl_off),
                 to_map(maps.br_off),  placement.padded_width_px, placement.padded_height_px, placement.left_px,   placement.top_px};
  });
}

std::vector<Work> Detector::work(int width_px, int height_px, int views) const {
  return guarded([&] {
    check_size(width_px, height_px, views);
    return impl_->predictor->work(views, padded_size_px(height_px), padded_size_px(width_px));
  });
}

std::vector<Work> hourglass104_work(int width_px, int height_px, int views, const std::string& precision) {
  return guarded([&] {
    check_size(width_px, height_px, views);
    const auto dtype = precision == "fp32" ? at::kFloat : precision == "bf16" ? at::kBFloat16 : at::kHalf;
    return CornerNet(CornerNetConfig{}).work(views, padded_size_px(height_px), padded_size_px(width_px), dtype);
  });
}

}  // namespace cornernet
