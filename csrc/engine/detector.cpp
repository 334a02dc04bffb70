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
#include "engine/check_options.h"
#include "engine/config.h"
#include "engine/device.h"
#include "engine/guarded.h"
#include "engine/predictor.h"
#include "engine/quantization.h"
#include "ops/soft_nms.h"
#include "runtime/error.h"
#include "runtime/machine.h"

namespace cornernet {
namespace {

PictureView view_of(const Picture& picture) {
  check_picture(picture);
  return {picture.rgb.data(), picture.width_px, picture.height_px};
}

PictureView scaled(PictureView view, double scale) {
  const SizePx size = scaled_size({view.source_width_px, view.source_height_px}, scale);
  view.width_px = size.width;
  view.height_px = size.height;
  return view;
}

/// The mirrored view's boxes as the plain picture has them.
void unmirror(std::vector<Candidate>& candidates, int width_px) {
  const auto width = static_cast<float>(width_px);
  for (Candidate& c : candidates) c = {width - c.x2, c.y1, width - c.x1, c.y2, c.score, c.class_id};
}

/// A resized view's boxes in the picture's own pixels: by the factors that rounding left.
void unscale(std::vector<Candidate>& candidates, const PictureView& view) {
  const float across = static_cast<float>(view.width_px) / static_cast<float>(view.source_width_px);
  const float down = static_cast<float>(view.height_px) / static_cast<float>(view.source_height_px);
  for (Candidate& c : candidates) c = {c.x1 / across, c.y1 / down, c.x2 / across, c.y2 / down, c.score, c.class_id};
}

/// One picture's candidates, in its pixels, from its views (of each scale plain, mirrored) to its detections.
std::vector<Candidate> merge_views(CandidateLists views, bool flip, Numerics numerics, const SoftNmsOptions& nms) {
  if (numerics == Numerics::Mmdet3 && views.size() > 1) {  // 3.x thins each view by itself, takes a mirrored one first and thins again
    for (auto& view : views) view = soft_nms(std::move(view), nms);
    for (size_t i = 0; flip && i < views.size(); i += 2) std::swap(views[i], views[i + 1]);
  }
  for (size_t i = 1; i < views.size(); ++i) views[0].insert(views[0].end(), views[i].begin(), views[i].end());
  return soft_nms(std::move(views[0]), nms);
}

/// Overlaps of boxes of 1e19 pixels overflow.
bool all_finite(const std::vector<Candidate>& detections) {
  return std::ranges::all_of(
      detections, [](const Candidate& c) { return is_finite(c.x1) && is_finite(c.y1) && is_finite(c.x2) && is_finite(c.y2) && is_finite(c.score); });
}

/// Before others can take a place among the `max_per_image`.
void keep_wanted(std::vector<Candidate>& candidates, const std::vector<int>& class_ids) {
  const std::set<int> wanted(class_ids.begin(), class_ids.end());
  if (!wanted.empty()) std::erase_if(candidates, [&](const Candidate& c) { return !wanted.contains(c.class_id); });
}

void drop_below(std::vector<Candidate>& detections, float threshold) {
  std::erase_if(detections, [&](const Candidate& c) { return c.score < threshold; });
}

/// Pictures, at one scale each, that shared their forwards.
struct Group {
  struct Member {
    size_t picture, scale;  // by place
    PictureView view;
  };
  std::vector<Member> members;
  std::function<DecodedViews()> candidates;
  std::shared_ptr<DeviceClock> clock;  // null when nobody asked for timings
};

void add(const StageTimes& group, StageTimes& picture) {
  const double begun_ms = picture.pictures == 0 ? group.begun_ms : std::min(picture.begun_ms, group.begun_ms);
  picture = {begun_ms,    picture.prepare + group.prepare,           picture.network + group.network, picture.corners + group.corners,
             picture.nms, std::max(picture.pictures, group.pictures)};
}

/// Waits for the group and hands each member's views, in its picture's pixels, to the picture.
void collect(const Group& group, const DetectOptions& options, std::vector<CandidateLists>& views, std::set<size_t>& not_finite,
             std::vector<StageTimes>& timings) {
  DecodedViews decoded = group.candidates();
  const size_t each = options.flip ? 2 : 1;
  for (size_t m = 0; m < group.members.size(); ++m) {
    const Group::Member& member = group.members[m];
    for (size_t v = 0; v < each; ++v) {
      if (!decoded[m * each + v].finite) not_finite.insert(member.picture);
      auto& list = decoded[m * each + v].candidates;
      if (v == 1) unmirror(list, member.view.width_px);
      unscale(list, member.view);
      keep_wanted(list, options.class_ids);
      views[member.picture][member.scale * each + v] = std::move(list);
    }
  }
  if (!group.clock) return;
  const auto ms = group.clock->milliseconds(kStages);
  std::set<size_t> pictures;  // each at one scale or several
  for (const Group::Member& member : group.members) pictures.insert(member.picture);
  const StageTimes times{group.clock->begun_ms(), ms[kPrepare], ms[kNetwork], ms[kCorners], 0, static_cast<int>(pictures.size())};
  for (const size_t picture : pictures) add(times, timings[picture]);
}

Found finish(const std::vector<Group>& groups, size_t pictures, const DetectOptions& options) {
  Found found{CandidateLists(pictures), {}, std::vector<StageTimes>(options.timings ? pictures : 0)};
  std::set<size_t> not_finite;
  std::vector<CandidateLists> views(pictures, CandidateLists(options.scales.size() * (options.flip ? 2 : 1)));
  for (const Group& group : groups) collect(group, options, views, not_finite, found.timings);
  const auto thinning = std::chrono::steady_clock::now();
  for (size_t i = 0; i < pictures; ++i) {
    found.detections[i] = merge_views(std::move(views[i]), options.flip, options.numerics, options.nms);
    if (!all_finite(found.detections[i])) not_finite.insert(i);
    drop_below(found.detections[i], options.score_threshold);
  }
  for (const size_t i : not_finite) {
    found.detections[i].clear();
    found.not_finite.push_back(static_cast<int>(i));
  }
  const std::chrono::duration<double, std::milli> nms = std::chrono::steady_clock::now() - thinning;
  for (StageTimes& times : found.timings) times.nms = nms.count();
  return found;
}

void check_shape(const ForwardShape& shape) {
  constexpr int kMostPx = 1 << 20, kMostViews = 1 << 16;
  require(shape.width_px >= 1 && shape.height_px >= 1 && shape.width_px <= kMostPx && shape.height_px <= kMostPx, ErrorCode::Option,
          "width and height must be 1 to 1048576 pixels");
  require(shape.views >= 1 && shape.views <= kMostViews, ErrorCode::Option, "views must be 1 to 65536");
  check_scales(shape.scales);
}

/// `work_of` the views at each scale.
template <typename WorkOf>
std::vector<Work> work_at_scales(const ForwardShape& shape, const WorkOf& work_of) {
  check_shape(shape);
  constexpr int64_t kMostPixels = int64_t{1} << 44;  // of all views: their maps' bytes are numbers still
  std::vector<Work> all;
  for (const double scale : shape.scales) {
    const SizePx size = scaled_size({shape.width_px, shape.height_px}, scale);
    const int64_t height_px = padded_size_px(size.height), width_px = padded_size_px(size.width);
    require(height_px * width_px <= kMostPixels / shape.views, ErrorCode::Option, "the views must have at most 2^44 pixels together");
    std::ranges::move(work_of(shape.views, height_px, width_px), std::back_inserter(all));
  }
  return all;
}

/// Every sum, and what every convolution makes but the heads' last ones: as int8 networks mostly are.
void keep_in_8_bits(CornerNet& network) {
  const CornerNet::Parts parts = network.parts();
  for (const auto& [prefix, conv] : parts.convs) {
    const std::string name = conv->name(prefix);
    if (!(name.starts_with("bbox_head.") && name.ends_with(".1.conv"))) conv->output().set_scale(1);
  }
  for (const auto& [name, sum] : parts.sums) sum->set_scale(1);
}

Map to_map(const at::Tensor& tensor) {
  const at::Tensor values = tensor.select(0, 0);
  Map map;
  map.shape = {values.size(0), values.size(1), values.size(2)};
  map.values.assign(values.const_data_ptr<float>(), values.const_data_ptr<float>() + values.numel());
  return map;
}

}  // namespace

std::vector<Candidate> merge_detections(std::vector<Candidate> detections, const DetectOptions& options) {
  check_options(options);
  keep_wanted(detections, options.class_ids);
  auto merged = soft_nms(std::move(detections), options.nms);
  if (!all_finite(merged)) throw Error(ErrorCode::Input, "detections are too large to merge: their overlaps are not finite");
  drop_below(merged, options.score_threshold);
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
  const bool asked = options.precision == "int8";
  if (asked) require_int8(device);
  const c10::ScalarType dtype = resolve_precision(asked ? "auto" : options.precision, device);
  use_threads(options.threads);

  CheckpointFile checkpoint(options.path);
  StatedConfig stated = parse_config(checkpoint.meta().config);
  check_stated(stated.options, options.path);
  NamedTensors tensors = checkpoint.take_tensors();
  const CornerNetConfig architecture = derive_architecture(tensors);
  cross_check(architecture, stated);
  CornerNet network(architecture);
  assign_parameters(network, tensors);
  tensors.clear();  // the network holds what it needs
  const TensorReader read = [&checkpoint](const at::Tensor& tensor) { return checkpoint.read(tensor); };
  const Int8Layers calibrated = read_quantization(outputs_of(network), checkpoint.take_quantization(), read);
  if (asked && calibrated.empty()) {
    throw Error(ErrorCode::Option, "precision 'int8' needs a calibrated checkpoint, which " + options.path +
                                       " is not: `cornernet quantize --weights <file> --images <folder> --output <file>` makes one");
  }
  const bool int8 = !calibrated.empty() && (asked || (options.precision == "auto" && computes_int8(device)));

  info.device = device.str();
  info.precision = int8 ? "int8" : precision_name(dtype);
  info.threads = at::get_num_threads();
  info.classes = checkpoint.meta().classes;
  info.num_classes = static_cast<int>(architecture.head.num_classes);
  defaults = std::move(stated.options);
  predictor.emplace(std::move(network), architecture, dtype, runtime_of(device), CudaRules{options.tf32, options.deterministic, options.cuda_graphs},
                    read, int8 ? &calibrated : nullptr);
  checkpoint.close();
}

Detector::Detector(const LoadOptions& options) : impl_(std::make_unique<Impl>()) {
  guarded([&] { impl_->load(options); });
}

Detector::~Detector() = default;

const DetectorInfo& Detector::info() const { return impl_->info; }
const DetectOptions& Detector::defaults() const { return impl_->defaults; }
DetectorStats Detector::stats() const {
  const Predictor& predictor = *impl_->predictor;
  return {impl_->pictures, predictor.forwards(), predictor.views(), predictor.weight_bytes(), predictor.warnings()};
}

std::function<Found()> Detector::start(const std::vector<Picture>& pictures, const DetectOptions& options) {
  return guarded([&]() -> std::function<Found()> {
    check_options(options);
    // Corner pooling looks along whole rows and columns, so only pictures of one padded size may share a forward.
    std::map<std::pair<int, int>, Group> by_padded_size;
    for (size_t i = 0; i < pictures.size(); ++i) {
      for (size_t scale = 0; scale < options.scales.size(); ++scale) {
        const PictureView view = scaled(view_of(pictures[i]), options.scales[scale]);
        by_padded_size[{padded_size_px(view.height_px), padded_size_px(view.width_px)}].members.push_back({i, scale, view});
      }
    }
    std::vector<Group> groups;
    for (auto& [size, group] : by_padded_size) {
      std::vector<PictureView> views;
      for (const Group::Member& member : group.members) views.push_back(member.view);
      if (options.timings) group.clock = impl_->predictor->clock();
      group.candidates = impl_->predictor->start(views, options, group.clock.get());
      groups.push_back(std::move(group));
    }
    if (!options.in_fp32) impl_->pictures += std::ssize(pictures);  // else they are here for the second time
    return [groups = std::move(groups), count = pictures.size(), options] { return guarded([&] { return finish(groups, count, options); }); };
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
    return work_at_scales(shape,
                          [&](int64_t views, int64_t height_px, int64_t width_px) { return impl_->predictor->work(views, height_px, width_px); });
  });
}

std::vector<Work> hourglass104_work(const ForwardShape& shape, const std::string& precision) {
  return guarded([&] {
    const auto dtype = precision == "fp32" ? at::kFloat : precision == "fp16" ? at::kHalf : at::kBFloat16;
    CornerNet network(CornerNetConfig{});
    if (precision == "int8") keep_in_8_bits(network);
    return work_at_scales(shape, [&](int64_t views, int64_t height_px, int64_t width_px) { return network.work(views, height_px, width_px, dtype); });
  });
}

}  // namespace cornernet
