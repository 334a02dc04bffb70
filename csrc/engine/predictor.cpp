#include "engine/predictor.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "engine/device_memory.h"
#include "engine/guarded.h"
#include "ops/conv.h"
#include "runtime/error.h"

namespace cornernet {
namespace {

// A view's feature map: half the padded size twice, rounded up; padded sizes are odd, so (n + 1) / 4.
int64_t map_size(int64_t padded_px) { return (padded_px + 1) / 4; }

// Of forwards nobody has watched yet: at the peak they hold this many maps as wide as the first stage at feature resolution (the stem's output, two
// inside a residual block, the way around, one of scratch), and the result's maps beside them.
constexpr int64_t kPeakMaps = 5;

// Of a map, as cuDNN counts them; whether a batch's largest map has more is a question of its size, not of memory.
constexpr int64_t kMostElements = std::numeric_limits<int32_t>::max();

// Forwards of a size for whose recording memory lacked, until it is tried again.
constexpr int64_t kForwardsUnrecorded = 64;

// Sizes that can't be recorded and are said: the reason mostly is the same.
constexpr size_t kMostWarnings = 4;

/// From cells of a view's feature map back to the picture's pixels.
ViewGeometry geometry_of(const PictureView& picture) {
  const Placement placement = place(picture.width_px, picture.height_px);
  const int width_px = placement.padded_width_px, height_px = placement.padded_height_px;
  return {static_cast<float>(width_px) / static_cast<float>(map_size(width_px)),
          static_cast<float>(height_px) / static_cast<float>(map_size(height_px)), static_cast<float>(placement.left_px),
          static_cast<float>(placement.top_px)};
}

std::string gigabytes(int64_t bytes) {
  const int64_t tenths = (bytes + 50'000'000) / 100'000'000;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " GB";
}

}  // namespace

Predictor::Predictor(CornerNet network, const CornerNetConfig& config, at::ScalarType dtype, std::shared_ptr<DeviceRuntime> runtime, CudaRules rules,
                     const TensorReader& read, const Int8Layers* int8)
    : runtime_(std::move(runtime)), network_(std::move(network)), config_(config), dtype_(dtype), rules_(rules) {
  if (!runtime_) {
    network_.prepare({.dtype = dtype, .device = at::kCPU, .read = read, .int8 = int8});
    return;
  }
  const DeviceLock::Use use(runtime_->shared().lock, DeviceLock::kShared);
  calls_.emplace(runtime_);
  side_.emplace(runtime_, calls_->stream());
  graphs_.emplace(*calls_);
  const auto on_this_stream = on_stream();
  network_.prepare({.dtype = dtype, .device = runtime_->device(), .read = read, .int8 = int8});
}

Predictor::~Predictor() {
  if (!runtime_) return;
  const DeviceLock::Use use(runtime_->shared().lock, DeviceLock::kShared);
  graphs_.reset();
  side_.reset();
}

c10::OptionalStreamGuard Predictor::on_stream() const {
  return c10::OptionalStreamGuard(calls_ ? runtime_->torch_stream(calls_->stream().get()) : std::nullopt);
}

int64_t Predictor::view_bytes(int64_t height_px, int64_t width_px, at::ScalarType dtype) const {
  const auto each = static_cast<int64_t>(c10::elementSize(dtype));
  const int64_t input = network_.input_channels() * height_px * width_px * each;
  if (watched_pixels_ > 0) {
    const int64_t times = each / static_cast<int64_t>(c10::elementSize(dtype_));
    return times * static_cast<int64_t>(bytes_a_pixel_ * static_cast<double>(height_px * width_px)) + input;
  }
  const int64_t cells = map_size(height_px) * map_size(width_px);
  const int64_t width = std::max({config_.backbone.stage_channels[0], config_.backbone.feat_channels, config_.head.branch_channels,
                                  2 * config_.head.pool_channels, 2 * config_.backbone.stem_channels});
  const int64_t heads = 2 * (config_.head.num_classes + 3);
  return cells * (kPeakMaps * width + heads) * each + input;
}

int64_t Predictor::views_to_count(int64_t height_px, int64_t width_px) {
  if (const auto known = views_to_count_.find({height_px, width_px}); known != views_to_count_.end()) return known->second;
  int64_t largest = network_.input_channels() * height_px * width_px;
  for (const Work& one : work(1, height_px, width_px)) {
    const int64_t pixels = one.height * one.width;
    largest = std::max({largest, one.in_channels * pixels, one.out_channels * (pixels / (one.stride * one.stride))});
  }
  if (largest > kMostElements) {
    throw Error(ErrorCode::OutOfMemory, "a padded view of " + std::to_string(width_px) + "x" + std::to_string(height_px) +
                                            " pixels has a map of more than 2^31 numbers, which cuDNN can't address; use a smaller picture or tiles");
  }
  if (views_to_count_.size() == kMostSizes) views_to_count_.clear();
  return views_to_count_[{height_px, width_px}] = kMostElements / largest;
}

int64_t Predictor::beside_bytes(int64_t height_px, int64_t width_px) const {
  constexpr int64_t kMaps = 3;  // a residual block's two, and its result
  return kMaps * map_size(height_px) * map_size(width_px) * config_.backbone.stage_channels[0] * static_cast<int64_t>(c10::elementSize(dtype_));
}

CudaRules Predictor::rules(at::ScalarType dtype) const {
  CudaRules rules = rules_;
  if (dtype == at::kFloat) {
    rules.search = dtype_ == at::kFloat;
    return rules;
  }
  // LibTorch keeps what was picked or searched for a size, and looks it up by TF32's flag among others. 16-bit types compute alike with it and
  // without: with it a size that is searched later is not taken for the one that was picked. In fp32 the two can't be told apart: there the first
  // time searches.
  rules.search = rules.tf32 = searched_;
  return rules;
}

int64_t Predictor::views_that_fit(int64_t views, int64_t height_px, int64_t width_px, at::ScalarType dtype) {
  if (runtime_) views = std::min(views, views_to_count(height_px, width_px));
  if (graphs_ && dtype == dtype_ && graphs_->find({views, network_.input_channels(), height_px, width_px}) != nullptr) return views;
  const int64_t one = view_bytes(height_px, width_px, dtype);
  int64_t available = available_bytes(runtime_.get());
  if (one * views > available && graphs_ && !graphs_->empty()) {  // what recordings keep, nothing else can have
    release_memory();
    available = available_bytes(runtime_.get());
  }
  if (one > available) {
    const std::string device = runtime_ ? runtime_->device().str() : "cpu";
    throw Error(ErrorCode::OutOfMemory, "a padded view of " + std::to_string(width_px) + "x" + std::to_string(height_px) + " pixels needs about " +
                                            gigabytes(one) + " on " + device + ", where " + gigabytes(available) +
                                            " are available; use a lower precision or a smaller picture");
  }
  const int64_t fitting = std::clamp<int64_t>(available / one, 1, views);
  largest_bytes_ = std::max(largest_bytes_, fitting * one);
  return fitting;
}

void Predictor::release_memory() {
  activations_.release();
  if (!runtime_) return;
  const DeviceLock::Use use(runtime_->shared().lock, DeviceLock::kShared);
  graphs_->clear();
}

bool Predictor::is_measured(const Sizes& sizes) const {
  const auto found = forwards_of_.find(sizes);
  return found != forwards_of_.end() && found->second == 1;
}

HeadMaps Predictor::forward(const at::Tensor& input, bool alone) {
  ++forwards_;
  views_ += input.size(0);
  if (input.scalar_type() != dtype_) return compute(input);
  if (forwards_of_.size() == kMostSizes) forwards_of_.clear();
  // The first forward of a size packs weights or searches for algorithms, and takes memory for that.
  int64_t& count = forwards_of_[input.sizes().vec()];
  if (count == 1 && !alone) return compute(input);
  return ++count == 2 ? measure(input) : compute(input);
}

HeadMaps Predictor::compute(const at::Tensor& input) {
  if (!runtime_) {
    const ActivationMemory::Use reused(activations_);
    return network_.forward(input);
  }
  const RulesInForce in_force(rules(input.scalar_type()));
  return maps_of(runtime_->run(calls_->stream().get(), {input}, [&] { return tensors_of(network_.forward(input)); }));
}

HeadMaps Predictor::measure(const at::Tensor& input) {
  const int64_t packed_before = packed_layouts();
  const PeakMemory peak(runtime_.get(), activations_);
  HeadMaps maps = compute(input);
  if (packed_layouts() != packed_before) {  // many sizes take turns: the next time will do
    forwards_of_[input.sizes().vec()] = 1;
    return maps;
  }
  const int64_t pixels = input.size(0) * input.size(2) * input.size(3);
  if (pixels >= watched_pixels_) {  // small ones pay for more than their maps
    watched_pixels_ = pixels;
    bytes_a_pixel_ = static_cast<double>(peak.bytes()) / static_cast<double>(pixels);
  }
  return maps;
}

void Predictor::record_if_due(const Sizes& sizes) {
  const auto found = forwards_of_.find(sizes);
  if (!rules_.graphs || found == forwards_of_.end() || found->second < 2 || !graphs_->wants(sizes)) return;
  // The pool grows to what the largest recording takes. The largest forward must still find its memory beside it, or the two would push each other
  // out in turns.
  const int64_t available = available_bytes(runtime_.get()), beside = sizes[0] * beside_bytes(sizes[2], sizes[3]);
  int64_t growth = std::max<int64_t>(0, sizes[0] * view_bytes(sizes[2], sizes[3], dtype_) - graphs_->reserved_bytes());
  if (available - growth < largest_bytes_) return;
  const DeviceLock::Use alone(runtime_->shared().lock, DeviceLock::kAlone);
  std::optional<Beside::Offer> offer;
  if (available - growth - beside >= largest_bytes_) {
    offer.emplace(*side_);
    growth += beside;
  }
  if (runtime_->memory().free < growth) runtime_->release_idle();  // a pool can't take from what lies idle elsewhere
  const at::Tensor input = at::empty(sizes, at::TensorOptions(dtype_).device(runtime_->device()), at::MemoryFormat::ChannelsLast);
  const RulesInForce in_force(rules(dtype_));
  const std::string reason = graphs_->record(input, [this](const at::Tensor& x) { return network_.forward(x); });
  if (graphs_->wants(sizes)) forwards_of_[sizes] = -kForwardsUnrecorded;
  if (reason.empty() || warnings_.size() == kMostWarnings) return;
  const std::string sentence = "forwards of " + std::to_string(sizes[0]) + " views of " + std::to_string(sizes[3]) + "x" + std::to_string(sizes[2]) +
                               " pixels are given to " + runtime_->device().str() + " kernel by kernel, as they could not be recorded: " + reason;
  if (std::ranges::find(warnings_, sentence) == warnings_.end()) warnings_.push_back(sentence);
}

int64_t Predictor::choose(int64_t pictures, int64_t views_a_picture, int64_t height_px, int64_t width_px) {
  const ForwardPolicy::Forward next = policy_.next(pictures, views_a_picture, height_px, width_px);
  searched_ = next.searched && !rules_.deterministic;
  if (!next.search || dtype_ == at::kFloat || rules_.deterministic) return next.pictures;
  // Runs by itself once more, and is recorded anew afterwards, with what is found.
  const Sizes sizes{next.pictures * views_a_picture, network_.input_channels(), height_px, width_px};
  const DeviceLock::Use use(runtime_->shared().lock, DeviceLock::kShared);
  graphs_->forget(sizes);
  forwards_of_.erase(sizes);
  return next.pictures;
}

InputPlan Predictor::plan(const std::vector<PictureView>& pictures, bool flip, const DetectOptions& options) const {
  InputPlan plan = plan_input(pictures, flip, options.numerics, options.normalisation);
  plan.view.channels = static_cast<int>(network_.input_channels());
  return plan;
}

std::shared_ptr<DeviceClock> Predictor::clock() const {
  const auto on_this_stream = on_stream();
  return std::make_shared<DeviceClock>(runtime_ ? runtime_->device() : at::Device(at::kCPU));
}

std::function<DecodedViews()> Predictor::start(const std::vector<PictureView>& pictures, const DetectOptions& options, DeviceClock* clock) {
  const auto on_this_stream = on_stream();
  const int64_t views_a_picture = options.flip ? 2 : 1;
  const int height_px = padded_size_px(pictures.front().height_px), width_px = padded_size_px(pictures.front().width_px);
  const at::ScalarType dtype = dtype_for(options);
  int64_t step = views_that_fit(std::ssize(pictures) * views_a_picture, height_px, width_px, dtype);
  std::vector<Candidates> parts;
  bool released = false;
  for (auto picture = pictures.begin(); picture != pictures.end();) {
    int64_t count = std::clamp<int64_t>(step / views_a_picture, 1, pictures.end() - picture);
    if (runtime_ && dtype == dtype_) count = choose(count, views_a_picture, height_px, width_px);
    const std::vector<PictureView> some(picture, picture + count);
    const int64_t views = std::min(step, count * views_a_picture);
    try {
      parts.push_back(guarded([&] { return start_some(some, views, options, clock); }));
      picture += std::ssize(some);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::OutOfMemory || (released && views == 1)) throw;
      // Memory that others left may do; else fewer views do.
      if (std::exchange(released, true)) step = (views + 1) / 2;
      release_memory();
    }
  }
  return [parts = std::move(parts)] {
    DecodedViews found;
    for (const auto& part : parts) {
      auto some = part();
      std::move(some.begin(), some.end(), std::back_inserter(found));
    }
    return found;
  };
}

namespace {

void lap(DeviceClock* clock, Stage stage) {
  if (clock != nullptr) clock->lap(stage);
}

std::vector<ViewGeometry> geometry_of(const std::vector<PictureView>& pictures, bool flip) {
  std::vector<ViewGeometry> geometry;
  for (const PictureView& picture : pictures) geometry.insert(geometry.end(), flip ? 2 : 1, geometry_of(picture));
  return geometry;
}

}  // namespace

Predictor::Candidates Predictor::start_some(const std::vector<PictureView>& pictures, int64_t step, const DetectOptions& options,
                                            DeviceClock* clock) {
  if (runtime_) return start_on_device(pictures, step, options, clock);
  const at::Tensor input = make_input(plan(pictures, options.flip, options), dtype_for(options));
  const std::vector<ViewGeometry> geometry = geometry_of(pictures, options.flip);
  lap(clock, kPrepare);
  DecodedViews decoded;
  for (int64_t first = 0; first < input.size(0); first += step) {
    const int64_t count = std::min(step, input.size(0) - first);
    const HeadMaps maps = forward(input.narrow(0, first, count), /*alone=*/true);
    lap(clock, kNetwork);
    DecodedViews some = decode_corners(maps, {geometry.begin() + first, geometry.begin() + first + count}, options.decode);
    std::move(some.begin(), some.end(), std::back_inserter(decoded));
    lap(clock, kCorners);
  }
  return [decoded = std::move(decoded)]() mutable { return std::move(decoded); };
}

Predictor::Candidates Predictor::start_on_device(const std::vector<PictureView>& pictures, int64_t step, const DetectOptions& options,
                                                 DeviceClock* clock) {
  const InputPlan plan = this->plan(pictures, options.flip, options);
  Sizes sizes = plan.sizes();
  sizes[0] = std::min(sizes[0], step);
  const at::ScalarType dtype = dtype_for(options);
  const bool usual = dtype == dtype_;
  if (usual) record_if_due(sizes);
  const bool alone = usual && is_measured(sizes);
  const DeviceLock::Use use(runtime_->shared().lock, alone ? DeviceLock::kAlone : DeviceLock::kShared);
  DeviceCalls::Call call = calls_->begin(plan, geometry_of(pictures, options.flip), options.decode);
  const auto launch = [&](const ForwardGraphs::Graph& graph) {
    ++forwards_;
    views_ += graph.input.size(0);
    graph.recording->launch(calls_->stream());
    return graph.maps;
  };
  const ForwardGraphs::Graph* const graph = usual ? graphs_->find(sizes) : nullptr;
  if (graph != nullptr && sizes == plan.sizes()) {  // the pictures go straight to where the recording reads them
    call.make_input(graph->input);
    lap(clock, kPrepare);
    const HeadMaps maps = launch(*graph);
    lap(clock, kNetwork);
    call.decode(maps);
    lap(clock, kCorners);
    return call.finish();
  }
  const at::Tensor input = empty_input(plan, dtype, runtime_->device());
  call.make_input(input);
  lap(clock, kPrepare);
  for (int64_t first = 0; first < input.size(0); first += step) {
    const HeadMaps maps = forward(input.narrow(0, first, std::min(step, input.size(0) - first)), alone);
    lap(clock, kNetwork);
    call.decode(maps);
    lap(clock, kCorners);
  }
  return call.finish();
}

HeadMaps Predictor::maps(const PictureView& picture, const DetectOptions& options) {
  const auto on_this_stream = on_stream();
  const at::ScalarType dtype = dtype_for(options);
  searched_ = false;  // not for one picture
  views_that_fit(1, padded_size_px(picture.height_px), padded_size_px(picture.width_px), dtype);
  const InputPlan plan = this->plan({picture}, /*flip=*/false, options);
  if (!runtime_) {
    const HeadMaps maps = forward(make_input(plan, dtype), /*alone=*/true);
    const auto to_fp32 = [](const CornerMaps& of) {
      const auto dense = [](const at::Tensor& map) { return map.to(at::kFloat).contiguous(); };
      return CornerMaps{dense(of.heat), dense(of.emb), dense(of.off)};
    };
    return {to_fp32(maps.tl), to_fp32(maps.br)};
  }
  const bool alone = dtype == dtype_ && is_measured(plan.sizes());
  const DeviceLock::Use use(runtime_->shared().lock, alone ? DeviceLock::kAlone : DeviceLock::kShared);
  DeviceCalls::Call call = calls_->begin(plan, geometry_of({picture}, false), options.decode);
  const at::Tensor input = empty_input(plan, dtype, runtime_->device());
  call.make_input(input);
  return call.finish_with(forward(input, alone));
}

}  // namespace cornernet
