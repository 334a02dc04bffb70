#include "quantize/quantizer.h"

#include <ATen/ops/abs.h>
#include <ATen/ops/amax.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "checkpoint/checkpoint_writer.h"
#include "engine/architecture.h"
#include "engine/check_options.h"
#include "engine/config.h"
#include "engine/device.h"
#include "engine/guarded.h"
#include "engine/quantization.h"
#include "ops/image.h"
#include "quantize/calibration.h"
#include "quantize/trial_network.h"
#include "runtime/error.h"

namespace cornernet::quantization {
namespace {

// Pictures on which ways are tried, and places that are tried in 16 bits.
constexpr size_t kProbes = 8, kCandidates = 16;
// A place that takes less than this part of the error away isn't worth its 16 bits.
constexpr double kLeastGain = 0.01;

}  // namespace

struct Quantizer::Impl {
  QuantizerOptions options;
  NamedTensors tensors;  // the checkpoint's, until the trial network has them
  CheckpointMeta meta;
  CornerNetConfig config;
  DetectOptions defaults;
  at::ScalarType wide = at::kFloat;
  std::unique_ptr<CornerNet> exact;  // in fp32, until all is observed
  std::unique_ptr<Calibration> calibration;
  std::vector<Picture> probes;
  std::vector<at::Tensor> inputs;  // the probes', fp32
  int pictures = 0;

  std::unique_ptr<TrialNetwork> trial;
  Plan best;
  double best_error = 0, best_share = 0;
  size_t step = 0;
  std::vector<std::string> candidates;
  std::vector<std::pair<double, std::string>> gains;  // per operation, of candidates that pay
  std::vector<Trial> trials;

  void load();
  at::Tensor input_of(const Picture& picture) const;
  void end_observing();
  void begin_trying();
  std::optional<Trial> tried(std::string what, const Plan& plan, double least_gain = 0);
  void find_candidates();
  std::optional<Trial> next_trial();
};

void Quantizer::Impl::load() {
  require(options.wide_share >= 0 && options.wide_share <= 1, ErrorCode::Option, "wideShare must be 0 to 1");
  require_int8(at::kCPU);
  use_threads(options.threads);
  wide = resolve_precision("auto", at::kCPU);
  CheckpointFile file(options.path);
  StatedConfig stated = parse_config(file.meta().config);
  check_stated(stated.options, options.path);
  meta = file.meta();
  tensors = file.take_tensors();
  config = derive_architecture(tensors);
  cross_check(config, stated);
  for (auto& [name, tensor] : tensors) tensor = file.read(tensor);
  file.close();
  defaults = std::move(stated.options);
  exact = std::make_unique<CornerNet>(config);
  assign_parameters(*exact, tensors);
  std::map<std::string, at::Tensor> ranges;
  for (const auto& [prefix, conv] : exact->parts().convs) {
    const std::string name = conv->name(prefix);
    if (name.ends_with(".conv2")) ranges[beside(name, "conv1")] = at::amax(at::abs(conv->folded(prefix, at::kFloat).weight), {0, 2, 3});
  }
  exact->prepare(at::kFloat, at::kCPU);
  calibration = std::make_unique<Calibration>(*exact, std::move(ranges));
}

at::Tensor Quantizer::Impl::input_of(const Picture& picture) const {
  const PictureView view{picture.rgb.data(), picture.width_px, picture.height_px};
  return make_input(plan_input({view}, /*flip=*/false, defaults.numerics, defaults.normalisation), at::kFloat);
}

void Quantizer::Impl::end_observing() {
  require(pictures > 0, ErrorCode::Input, "there is no picture to calibrate with");
  if (!inputs.empty()) return;
  for (const Picture& probe : probes) inputs.push_back(input_of(probe));
  calibration->begin(inputs);
  probes.clear();
}

void Quantizer::Impl::begin_trying() {
  if (trial) return;
  end_observing();
  exact.reset();
  trial = std::make_unique<TrialNetwork>(config, std::move(tensors), *calibration, std::move(inputs), wide);
}

/// Measures a way; it is chosen when it takes more than `least_gain` of the best one's error away.
std::optional<Trial> Quantizer::Impl::tried(std::string what, const Plan& plan, double least_gain) {
  const double error = trial->measure(plan);
  const bool chosen = trials.empty() || error < best_error * (1 - least_gain);
  if (chosen) best = plan, best_error = error;
  trials.push_back({std::move(what), error, chosen});
  return trials.back();
}

/// The places whose rounding loses most.
void Quantizer::Impl::find_candidates() {
  std::vector<std::pair<double, std::string>> by_rounding;
  for (const auto& [name, place] : calibration->places()) {
    const double rounding = trial->rounding_of(best, name);
    if (rounding > 0) by_rounding.emplace_back(rounding, name);
  }
  std::sort(by_rounding.rbegin(), by_rounding.rend());
  for (size_t i = 0; i < std::min(kCandidates, by_rounding.size()); ++i) candidates.push_back(by_rounding[i].second);
  best_share = trial->wide_share(best);
}

std::optional<Trial> Quantizer::Impl::next_trial() {
  constexpr size_t kScales = std::size(kMethods);
  const size_t now = step++;
  if (now < kScales) {
    Plan plan;
    plan.method = kMethods[now].method;
    plan.wide = calibration->before_results();  // what the last 1x1 convolutions read: they cost next to nothing
    return tried(std::string("scales: ") + kMethods[now].name, plan);
  }
  Plan plan = best;
  if (now == kScales) {
    plan.wide.clear();
    return tried("the last convolutions in 8 bits, too", plan);
  }
  if (now == kScales + 1) {
    plan.shifted = true;
    return tried("biases corrected", plan);
  }
  if (now == kScales + 2) {
    plan.equalised = true;
    return tried("scales equalised", plan, kLeastGain);
  }
  if (now == kScales + 3) find_candidates();
  const size_t candidate = now - kScales - 3;
  if (candidate < candidates.size()) {
    const std::string& name = candidates[candidate];
    plan.wide.insert(name);
    const double error = trial->measure(plan), cost = trial->wide_share(plan) - best_share;
    if (error < best_error * (1 - kLeastGain)) gains.emplace_back((best_error - error) / std::max(cost, 1e-3), name);
    trials.push_back({name + " in 16 bits", error, false});
    return trials.back();
  }
  if (candidate > candidates.size() || gains.empty()) return std::nullopt;
  std::sort(gains.rbegin(), gains.rend());
  size_t taken = 0;
  for (const auto& [gain, name] : gains) {
    plan.wide.insert(name);
    if (trial->wide_share(plan) - best_share > options.wide_share) {
      plan.wide.erase(name);
    } else {
      ++taken;
    }
  }
  if (taken == 0) return std::nullopt;
  return tried(std::to_string(taken) + " of these in 16 bits", plan, kLeastGain);
}

Quantizer::Quantizer(const QuantizerOptions& options) : impl_(std::make_unique<Impl>()) {
  impl_->options = options;
  guarded([&] { impl_->load(); });
}

Quantizer::~Quantizer() = default;

void Quantizer::observe(const Picture& picture) {
  guarded([&] {
    require(impl_->exact != nullptr, ErrorCode::Input, "the ways are being tried already");
    check_picture(picture);
    ++impl_->pictures;
    if (impl_->inputs.empty()) {
      impl_->probes.push_back(picture);
      if (impl_->probes.size() == kProbes) impl_->end_observing();
    } else {
      impl_->calibration->observe(impl_->input_of(picture));
    }
  });
}

std::optional<Trial> Quantizer::try_next() {
  return guarded([&] {
    impl_->begin_trying();
    return impl_->next_trial();
  });
}

QuantizeReport Quantizer::write(const std::string& path) {
  return guarded([&] {
    require(!impl_->trials.empty(), ErrorCode::Input, "no way was tried");
    const Plan& plan = impl_->best;
    QuantizeReport report = impl_->trial->report(plan);
    report.pictures = impl_->pictures;
    report.trials = impl_->trials;
    Checkpoint made{impl_->trial->tensors(plan.equalised), impl_->meta, {}, write_quantization(impl_->trial->layers(plan, report.layers))};
    write_checkpoint(path, {std::move(made), {}, 0});
    return report;
  });
}

}  // namespace cornernet::quantization
