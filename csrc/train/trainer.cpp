#include "train/trainer.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <c10/core/DeviceGuard.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "engine/activation_memory.h"
#include "engine/check_options.h"
#include "engine/config.h"
#include "engine/device.h"
#include "engine/device_runtime.h"
#include "engine/guarded.h"
#include "runtime/error.h"
#include "runtime/machine.h"
#include "train/beginning.h"
#include "train/config_text.h"
#include "train/learner.h"

namespace cornernet::train {
namespace {

// What a step frees early the same step takes again; more would only lie beside it.
constexpr size_t kMostIdleBytes = size_t{64} << 20;

void check(const Architecture& a) {
  constexpr int kMostStacks = 8, kMostChannels = 4096, kMostBlocks = 64, kMostStages = 8;
  const auto between = [](int value, int most) { return value >= 1 && value <= most; };
  require(between(a.stacks, kMostStacks), ErrorCode::Option, "a network has 1 to 8 stacks");
  require(a.stage_channels.size() >= 2 && a.stage_channels.size() <= kMostStages && a.stage_blocks.size() == a.stage_channels.size(),
          ErrorCode::Option, "stageChannels and stageBlocks must have one entry a resolution each, 2 to 8");
  for (const int blocks : a.stage_blocks) require(between(blocks, kMostBlocks), ErrorCode::Option, "a stage has 1 to 64 blocks");
  for (const int channels : a.stage_channels) require(between(channels, kMostChannels), ErrorCode::Option, "a stage has 1 to 4096 channels");
  for (const int channels : {a.stem_channels, a.feat_channels, a.pool_channels, a.branch_channels})
    require(between(channels, kMostChannels), ErrorCode::Option, "a layer has 1 to 4096 channels");
}

/// A checkpoint with others would be read as one without names.
void check_classes(const std::vector<std::string>& classes) {
  require(!classes.empty(), ErrorCode::Option, "there must be a class at least");
  if (classes.size() > kMostClasses) {
    throw Error(ErrorCode::Input, "a network has at most " + std::to_string(kMostClasses) + " classes, not " + std::to_string(classes.size()));
  }
  for (const std::string& name : classes) {
    if (name.size() <= kLongestName) continue;
    throw Error(ErrorCode::Input, "a class's name has at most " + std::to_string(kLongestName) + " bytes, not " + std::to_string(name.size()) + ": " +
                                      name.substr(0, kLongestName / 4) + " ...");
  }
}

void check(const Sample& sample, size_t classes) {
  const auto& [picture, boxes, seed] = sample;
  check_picture(picture);
  for (const TruthBox& box : boxes) {
    const bool inside =
        box.x1 >= 0 && box.y1 >= 0 && box.x2 <= static_cast<float>(picture.width_px) && box.y2 <= static_cast<float>(picture.height_px);
    require(inside && box.x2 > box.x1 && box.y2 > box.y1, ErrorCode::Input, "a box lies outside its picture, or has no area");
    require(box.class_id >= 0 && static_cast<size_t>(box.class_id) < classes, ErrorCode::Input, "a box's class is none of the network's");
  }
}

}  // namespace

struct PreparedBatch {
  at::Tensor x;  // on the CPU
  std::vector<std::vector<TruthBox>> boxes;
};

struct Trainer::Impl {
  TrainerInfo info;
  CornerNetConfig config;
  DetectOptions tested;  // how the checkpoint's configuration has it tested
  at::Device device = at::kCPU;
  std::shared_ptr<DeviceRuntime> runtime;  // null on the CPU
  at::ScalarType precision = at::kFloat;
  std::shared_ptr<ProcessGroup> group;  // outlives the learner, which uses it
  std::optional<Learner> learner;
  ActivationMemory memory{kMostIdleBytes};

  /// All begin as rank 0, in the scaling too.
  void share(LossScaling& scaling);
  void begin(const TrainerOptions& options);
  /// Waits for the GPUs, and takes all: not where others of this process have theirs, nor where a sum may wait for who is lost.
  void release_idle() const {
    if (runtime && !(group && (group->shares_process() || group->has_ended()))) runtime->release_idle();
  }
  PreparedBatch prepare(const std::vector<Sample>& samples, const Augmentation& augmentation) const;
};

void Trainer::Impl::begin(const TrainerOptions& options) {
  check_classes(options.classes);
  const std::string on = options.device == "auto" ? "cpu" : options.device;
  device = resolve_device(on);
  runtime = runtime_of(device);
  if (runtime) runtime->count_peak_anew();
  use_threads(options.threads);
  precision = options.precision == "auto" ? at::kFloat : resolve_precision(options.precision, device);
  std::vector<std::string> classes = options.classes;
  Beginning beginning;
  if (options.from.empty()) {
    check(options.architecture);
    beginning = draw_beginning(options.architecture, static_cast<int64_t>(classes.size()), options.seed);
  } else {
    const Checkpoint checkpoint = load_checkpoint(options.from);
    if (std::is_permutation(classes.begin(), classes.end(), checkpoint.meta.classes.begin(), checkpoint.meta.classes.end()))
      classes = checkpoint.meta.classes;
    tested = parse_config(checkpoint.meta.config).options;
    check_stated(tested, options.from);
    beginning = take_over(checkpoint, classes, options.seed);
    info.iteration = checkpoint.meta.iteration;
    info.taken = static_cast<int64_t>(beginning.tensors.size() - beginning.drawn.size());
    info.drawn = beginning.drawn;
    info.has_moments = !beginning.moments.empty() || beginning.loss_scaling.has_value();  // which may have let no step count yet
  }
  config = beginning.config;
  const c10::DeviceGuard there(device);
  for (auto& [name, tensor] : beginning.tensors) tensor = tensor.to(device);
  learner.emplace(config, beginning.tensors, Frozen{options.freeze_backbone, options.freeze_norms});
  beginning.tensors.clear();  // the learner has copies
  learner->set_recompute(options.recompute);
  learner->adam().set_moments(std::move(beginning.moments));
  if (group && device.is_cuda()) {
    const std::string why = group->use_card(runtime, cuda_card(device.index()));
    info.sums = why.empty() ? "NCCL" : "the host's memory (" + why + ")";
  }
  LossScaling scaling = beginning.loss_scaling.value_or(LossScaling{});
  if (group) share(scaling);
  if (precision == at::kHalf) learner->scale_losses(scaling);
  info.classes = classes;
  info.device = device.str();
  info.threads = at::get_num_threads();
  for (const at::Tensor& parameter : learner->parameters()) info.parameters += parameter.requires_grad() ? parameter.numel() : 0;
}

void Trainer::Impl::share(LossScaling& scaling) {
  const at::Tensor begun = at::zeros({4}, at::kDouble);
  double* const values = begun.mutable_data_ptr<double>();
  values[0] = static_cast<double>(info.iteration);
  values[1] = info.has_moments ? 1 : 0;
  values[2] = scaling.factor;
  values[3] = static_cast<double>(scaling.borne);
  group->broadcast(begun);
  info.iteration = static_cast<int64_t>(values[0]);
  info.has_moments = values[1] > 0;
  scaling = {values[2], static_cast<int64_t>(values[3])};
  learner->share(*group);
}

PreparedBatch Trainer::Impl::prepare(const std::vector<Sample>& samples, const Augmentation& augmentation) const {
  for (const Sample& sample : samples) check(sample, info.classes.size());
  const int64_t size = augmentation.size_px;
  const at::Tensor x = at::empty({static_cast<int64_t>(samples.size()), 3, size, size}, at::kFloat);
  std::vector<std::vector<TruthBox>> boxes(samples.size());
  float* const values = x.mutable_data_ptr<float>();
  const auto each = static_cast<size_t>(3 * size * size);
  at::parallel_for(0, x.size(0), 1, [&](int64_t begin, int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      boxes[i] = prepare_sample(samples[i], augmentation, tested.normalisation, {values + i * each, each});
    }
  });
  return {x.to(precision), std::move(boxes)};
}

Trainer::Trainer(const TrainerOptions& options, std::shared_ptr<ProcessGroup> group) : impl_(std::make_unique<Impl>()) {
  impl_->group = std::move(group);
  guarded([&] { impl_->begin(options); }, /*inference=*/false);
}

Trainer::~Trainer() {
  impl_->learner.reset();
  impl_->memory.release();
  impl_->release_idle();
}

const TrainerInfo& Trainer::info() const { return impl_->info; }

std::shared_ptr<const PreparedBatch> Trainer::prepare(const std::vector<Sample>& samples, const Augmentation& augmentation) const {
  constexpr int kLeastPx = 32, kMostPx = 4096;
  require(!samples.empty() || impl_->group, ErrorCode::Input, "a batch has at least one picture");
  require(augmentation.size_px >= kLeastPx && augmentation.size_px <= kMostPx, ErrorCode::Option,
          "the network's input must have 32 to 4096 pixels a side");
  return guarded([&] { return std::make_shared<const PreparedBatch>(impl_->prepare(samples, augmentation)); }, /*inference=*/false);
}

StepReport Trainer::step(const PreparedBatch& batch, double learning_rate, bool stop) {
  return guarded(
      [&] {
        const c10::DeviceGuard there(impl_->device);
        StepReport report;
        {
          const ActivationMemory::Use reused(impl_->memory);
          report = impl_->learner->differentiate(batch.x.to(impl_->device), batch.boxes, stop);
        }
        impl_->memory.release();  // Adam's moments stay for good: none of them comes between maps
        impl_->learner->update(learning_rate);
        if (impl_->runtime) report.device_bytes = impl_->runtime->memory().peak_allocated;
        return report;
      },
      /*inference=*/false);
}

void Trainer::save(const SaveOptions& options) const {
  guarded(
      [&] {
        const Learner& learner = *impl_->learner;
        CheckpointContent content;
        for (const auto& [name, tensor] : learner.tensors()) content.checkpoint.tensors.emplace_back(name, tensor.detach());
        content.checkpoint.meta = {impl_->info.classes, config_text(impl_->config, impl_->tested, impl_->info.classes), options.iteration,
                                   options.epoch};
        if (options.optimizer) {
          content.checkpoint.moments = learner.adam().moments();
          content.checkpoint.loss_scaling = learner.loss_scaling();
        }
        content.adam.learning_rate = options.learning_rate;
        content.parameters = static_cast<int64_t>(learner.parameters().size());
        write_checkpoint(options.path, content);
        impl_->release_idle();  // a validation follows, whose handles and kernels take theirs from the device itself
      },
      /*inference=*/false);
}

}  // namespace cornernet::train
