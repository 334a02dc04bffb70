#include "quantize/quantizer.h"

#include <ATen/Parallel.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/add.h>
#include <ATen/ops/all.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/div.h>
#include <ATen/ops/gt.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/sub.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/where.h>

#include <algorithm>
#include <cmath>
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
#include "runtime/error.h"

namespace cornernet::quantization {
namespace {

// Pictures on which ways are tried, and places that are tried in 16 bits.
constexpr size_t kProbes = 8, kCandidates = 16;
constexpr double kWeightLevels = 127;
// A place that takes less than this part of the error away isn't worth its 16 bits.
constexpr double kLeastGain = 0.01;

/// A way to compute.
struct Plan {
  Method method = Method::Largest;
  bool shifted = false, equalised = false;  // biases corrected; blocks' inner scales equalised
  std::set<std::string> wide;               // places whose maps have no 8 bits
};

double squares(const at::Tensor& x) { return at::sum(at::mul(x, x)).item<double>(); }

/// The root of the squared difference, as a fraction of the root of the exact one's squares.
class Difference {
 public:
  void add(const at::Tensor& exact, const at::Tensor& other) {
    difference_ += squares(at::sub(other.to(at::kDouble), exact.to(at::kDouble)));
    exact_ += squares(exact.to(at::kDouble));
  }
  double relative() const { return exact_ > 0 ? std::sqrt(difference_ / exact_) : std::sqrt(difference_); }

 private:
  double difference_ = 0, exact_ = 0;
};

/// The names of a block's tensors, from its first convolution's.
std::string beside(const std::string& conv1, const char* tensor) { return conv1.substr(0, conv1.size() - 5) + tensor; }

}  // namespace

struct Quantizer::Impl {
  QuantizerOptions options;
  QuantizerInfo info;
  Checkpoint checkpoint;
  CornerNetConfig config;
  DetectOptions defaults;
  at::ScalarType wide = at::kFloat;
  std::unique_ptr<CornerNet> exact;  // in fp32, until all is observed
  std::unique_ptr<Calibration> calibration;
  std::vector<Picture> probes;
  std::vector<at::Tensor> inputs;  // the probes', fp32
  int pictures = 0;

  // The network that is tried: in 8 bits and in `wide`, whichever its maps ask for.
  std::unique_ptr<CornerNet> trial;
  bool trial_equalised = false;
  Int8Layers weights;                        // of the trial: every convolution's
  std::map<std::string, at::Tensor> biases;  // without a shift

  Plan best, next;
  double best_error = 0;
  size_t step = 0;
  std::vector<std::string> candidates;
  std::vector<std::pair<double, std::string>> gains;  // per operation, of candidates that pay
  std::vector<Trial> trials;

  void load();
  NamedTensors tensors(bool equalised) const;
  CornerNet network(const NamedTensors& of) const;
  at::Tensor input_of(const Picture& picture) const;
  void end_observing();
  void build(bool equalised);
  void apply(const Plan& plan);
  double measure(const Plan& plan);
  double scale_of(const Plan& plan, const std::string& place) const;
  std::vector<Work> work(const Plan& plan);
  double wide_share(const Plan& plan);
  std::optional<Trial> tried(std::string what, const Plan& plan, double least_gain = 0);
  void find_candidates();
  std::optional<Trial> next_trial();
  QuantizeReport report(const Plan& plan);
};

void Quantizer::Impl::load() {
  require(options.wide_share >= 0 && options.wide_share <= 1, ErrorCode::Option, "wideShare must be 0 to 1");
  require_int8(at::kCPU);
  use_threads(options.threads);
  wide = resolve_precision("auto", at::kCPU);
  checkpoint = load_checkpoint(options.path);
  checkpoint.moments.clear();
  checkpoint.quantization.clear();
  StatedConfig stated = parse_config(checkpoint.meta.config);
  config = derive_architecture(checkpoint.tensors);
  cross_check(config, stated);
  for (const auto& [name, tensor] : checkpoint.tensors) {
    if (tensor.is_floating_point() && !at::all(at::isfinite(tensor)).item<bool>()) throw Error(ErrorCode::Checkpoint, name + " is not finite");
  }
  check_options(stated.options);
  defaults = stated.options;
  exact = std::make_unique<CornerNet>(network(checkpoint.tensors));
  std::map<std::string, at::Tensor> ranges;
  for (const auto& [prefix, conv] : exact->parts().convs) {
    const std::string name = conv->name(prefix);
    if (name.ends_with(".conv2")) ranges[beside(name, "conv1")] = at::amax(at::abs(conv->folded(prefix, at::kFloat).weight), {0, 2, 3});
  }
  exact->prepare(at::kFloat, at::kCPU);
  calibration = std::make_unique<Calibration>(*exact, std::move(ranges));
  info = {at::get_num_threads(), static_cast<int>(config.head.num_classes), precision_name(wide)};
}

CornerNet Quantizer::Impl::network(const NamedTensors& of) const {
  CornerNet made(config);
  assign_parameters(made, of);
  return made;
}

at::Tensor Quantizer::Impl::input_of(const Picture& picture) const {
  check_picture(picture);
  const PictureView view{picture.rgb.data(), picture.width_px, picture.height_px};
  return make_input(plan_input({view}, /*flip=*/false, defaults.numerics, defaults.normalisation), at::kFloat);
}

void Quantizer::Impl::end_observing() {
  require(pictures > 0, ErrorCode::Input, "there is no picture to calibrate with");
  if (inputs.empty()) {
    for (const Picture& probe : probes) inputs.push_back(input_of(probe));
    calibration->begin(inputs);
    probes.clear();
  }
}

/// With the equalising factors in a block's norm and in its second convolution: powers of two, so that fp32 computes the same bits.
NamedTensors Quantizer::Impl::tensors(bool equalised) const {
  if (!equalised) return checkpoint.tensors;
  std::map<std::string, at::Tensor> changed;
  const auto tensor = [&](const std::string& name) {
    return std::find_if(checkpoint.tensors.begin(), checkpoint.tensors.end(), [&](const auto& entry) { return entry.first == name; })->second;
  };
  for (const auto& [conv1, factor] : calibration->factors()) {
    for (const char* of_norm : {"bn1.weight", "bn1.bias"}) {
      const at::Tensor from = tensor(beside(conv1, of_norm));
      changed[beside(conv1, of_norm)] = at::div(from, factor.to(from.scalar_type()));
    }
    const at::Tensor weight = tensor(beside(conv1, "conv2.weight"));
    changed[beside(conv1, "conv2.weight")] = at::mul(weight, factor.to(weight.scalar_type()).reshape({1, -1, 1, 1}));
  }
  NamedTensors all = checkpoint.tensors;
  for (auto& [name, tensor] : all) {
    if (const auto found = changed.find(name); found != changed.end()) tensor = found->second;
  }
  return all;
}

void Quantizer::Impl::build(bool equalised) {
  if (trial && trial_equalised == equalised) return;
  trial.reset();  // before the next one: two are not held at a time
  trial = std::make_unique<CornerNet>(network(tensors(equalised)));
  trial_equalised = equalised;
  weights.clear();
  biases.clear();
  for (const auto& [prefix, conv] : trial->parts().convs) {
    const std::string name = conv->name(prefix);
    const auto [weight, bias] = conv->folded(prefix, at::kFloat);
    const at::Tensor range = at::div(at::amax(at::abs(weight), {1, 2, 3}), kWeightLevels);
    Int8Layer& layer = weights[name];
    layer.weight_scale = at::where(at::gt(range, 0), range, at::ones_like(range)).contiguous();
    biases[name] = bias.to(at::kFloat);
    at::Tensor mean = calibration->input_mean(name);
    if (!mean.defined()) continue;
    if (equalised && name.ends_with(".conv2")) {
      if (const auto factor = calibration->factors().find(beside(name, "conv1")); factor != calibration->factors().end())
        mean = at::div(mean, factor->second);
    }
    // What rounding the weights takes from the mean of each output, borders left aside.
    const at::Tensor rounded = at::mul(quantize_weight(weight, layer.weight_scale), layer.weight_scale.reshape({-1, 1, 1, 1}));
    const at::Tensor lost = at::sum(at::sub(weight, rounded), at::OptionalIntArrayRef({2, 3})).to(at::kDouble);
    layer.bias_shift = at::sum(at::mul(lost, mean.reshape({1, -1})), at::OptionalIntArrayRef(1)).to(at::kFloat);
  }
  trial->prepare({.dtype = wide, .device = at::kCPU, .int8 = &weights, .both = true});
}

double Quantizer::Impl::scale_of(const Plan& plan, const std::string& name) const {
  if (plan.wide.contains(name) || calibration->results().contains(name)) return 0;
  const auto found = calibration->places().find(name);
  if (found == calibration->places().end()) return 0;
  const Place& place = found->second;
  const bool changed = plan.equalised && calibration->factors().contains(name);
  return (changed ? place.equalised : place.plain).scale(plan.method, place.has_sign);
}

void Quantizer::Impl::apply(const Plan& plan) {
  build(plan.equalised);
  for (const auto& [prefix, conv] : trial->parts().convs) {
    const std::string name = conv->name(prefix);
    const Int8Layer& layer = weights.at(name);
    conv->output().set_scale(scale_of(plan, name));
    conv->int8().set_bias(plan.shifted && layer.bias_shift.defined() ? at::add(biases.at(name), layer.bias_shift) : biases.at(name));
  }
  for (const auto& [name, sum] : trial->parts().sums) sum->set_scale(scale_of(plan, name));
}

double Quantizer::Impl::measure(const Plan& plan) {
  apply(plan);
  std::map<std::string, Difference> differences;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const auto exact_maps = named_maps(calibration->reference()[i]), maps = named_maps(trial->forward(inputs[i].to(wide)));
    for (size_t m = 0; m < maps.size(); ++m) differences[maps[m].first].add(exact_maps[m].second, maps[m].second);
  }
  double sum = 0;
  for (const auto& [name, difference] : differences) sum += difference.relative();
  return sum / static_cast<double>(differences.size());
}

std::vector<Work> Quantizer::Impl::work(const Plan& plan) {
  apply(plan);
  return trial->work(1, inputs.front().size(2), inputs.front().size(3), wide);
}

double Quantizer::Impl::wide_share(const Plan& plan) {
  double all = 0, in_wide = 0;
  for (const Work& one : work(plan)) {
    all += one.flops;
    if (!one.int8) in_wide += one.flops;
  }
  return in_wide / all;
}

/// Measures a way; it is chosen when it takes more than `least_gain` of the best one's error away.
std::optional<Trial> Quantizer::Impl::tried(std::string what, const Plan& plan, double least_gain) {
  const double error = measure(plan);
  const bool chosen = trials.empty() || error < best_error * (1 - least_gain);
  if (chosen) best = plan, best_error = error;
  trials.push_back({std::move(what), error, chosen});
  return trials.back();
}

/// The places whose rounding loses most.
void Quantizer::Impl::find_candidates() {
  std::vector<std::pair<double, std::string>> by_rounding;
  for (const auto& [name, place] : calibration->places()) {
    const double scale = scale_of(best, name);
    if (scale > 0) by_rounding.emplace_back(place.plain.rounding(scale, place.has_sign), name);
  }
  std::sort(by_rounding.rbegin(), by_rounding.rend());
  for (size_t i = 0; i < std::min(kCandidates, by_rounding.size()); ++i) candidates.push_back(by_rounding[i].second);
}

std::optional<Trial> Quantizer::Impl::next_trial() {
  constexpr size_t kScales = std::size(kMethods);
  const size_t now = step++;
  if (now < kScales) {
    Plan plan;
    plan.method = kMethods[now];
    plan.wide = calibration->before_results();  // what the last 1x1 convolutions read: they cost next to nothing
    return tried("scales: " + name_of(plan.method), plan);
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
    const double error = measure(plan), cost = wide_share(plan) - wide_share(best);
    if (error < best_error * (1 - kLeastGain)) gains.emplace_back((best_error - error) / std::max(cost, 1e-3), name);
    trials.push_back({name + " in 16 bits", error, false});
    return trials.back();
  }
  if (candidate > candidates.size() || gains.empty()) return std::nullopt;
  std::sort(gains.rbegin(), gains.rend());
  const double before = wide_share(best);
  size_t taken = 0;
  for (const auto& [gain, name] : gains) {
    plan.wide.insert(name);
    if (wide_share(plan) - before > options.wide_share) {
      plan.wide.erase(name);
    } else {
      ++taken;
    }
  }
  if (taken == 0) return std::nullopt;
  return tried(std::to_string(taken) + " of these in 16 bits", plan, kLeastGain);
}

QuantizeReport Quantizer::Impl::report(const Plan& plan) {
  QuantizeReport report{pictures, static_cast<int>(inputs.size()), trials, {}, {}, 0};
  const std::vector<Work> works = work(plan);
  std::map<std::string, Difference> layers, heads;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const ActivationObserver observer{[&](const Activation& activation, const at::Tensor& map, bool) {
                                        const std::string& name = activation.name();
                                        if (plan.equalised && calibration->factors().contains(name)) return;  // another map on purpose
                                        layers[name].add(calibration->places().at(name).samples[i], sampled(map));
                                      },
                                      {}};
    HeadMaps maps;
    observe_activations(observer, [&] { maps = trial->forward(inputs[i].to(wide)); });
    const auto exact_maps = named_maps(calibration->reference()[i]), other = named_maps(maps);
    for (size_t m = 0; m < other.size(); ++m) heads[other[m].first].add(exact_maps[m].second, other[m].second);
  }
  double all = 0, int8 = 0;
  for (const Work& one : works) {
    all += one.flops;
    if (one.int8) int8 += one.flops;
  }
  for (const Work& one : works) {
    const Place& place = calibration->places().at(one.layer);
    const double scale = scale_of(plan, one.layer);
    const bool changed = plan.equalised && calibration->factors().contains(one.layer);
    report.layers.push_back({one.layer, one.op, one.int8, scale,
                             scale > 0 ? (changed ? place.equalised : place.plain).rounding(scale, place.has_sign) : 0, layers[one.layer].relative(),
                             one.flops / all});
  }
  for (const auto& [name, difference] : heads) report.heads.push_back({name, difference.relative()});
  report.int8_share = int8 / all;
  return report;
}

Quantizer::Quantizer(const QuantizerOptions& options) : impl_(std::make_unique<Impl>()) {
  impl_->options = options;
  guarded([&] { impl_->load(); });
}

Quantizer::~Quantizer() = default;

const QuantizerInfo& Quantizer::info() const { return impl_->info; }

void Quantizer::observe(const Picture& picture) {
  guarded([&] {
    require(impl_->exact != nullptr, ErrorCode::Input, "the ways are being tried already");
    ++impl_->pictures;
    if (impl_->inputs.empty()) {
      check_picture(picture);
      impl_->probes.push_back(picture);
      if (impl_->probes.size() == kProbes) impl_->end_observing();
    } else {
      impl_->calibration->observe(impl_->input_of(picture));
    }
  });
}

std::optional<Trial> Quantizer::try_next() {
  return guarded([&] {
    impl_->end_observing();
    impl_->exact.reset();
    return impl_->next_trial();
  });
}

QuantizeReport Quantizer::write(const std::string& path) {
  return guarded([&] {
    require(!impl_->trials.empty(), ErrorCode::Input, "no way was tried");
    const Plan& plan = impl_->best;
    QuantizeReport report = impl_->report(plan);
    std::map<std::string, bool> reads_8_bits;
    for (const LayerReport& layer : report.layers) reads_8_bits[layer.name] = layer.int8;
    Int8Layers layers;
    for (const auto& [name, reads] : reads_8_bits) {
      Int8Layer layer;
      if (const auto known = impl_->weights.find(name); reads && known != impl_->weights.end()) {
        layer.weight_scale = known->second.weight_scale;
        if (plan.shifted) layer.bias_shift = known->second.bias_shift;
      }
      layer.output_scale = impl_->scale_of(plan, name);
      if (layer.weight_scale.defined() || layer.output_scale > 0) layers[name] = layer;
    }
    Checkpoint made{impl_->tensors(plan.equalised), impl_->checkpoint.meta, {}, write_quantization(layers)};
    write_checkpoint(path, {std::move(made), {}, 0});
    return report;
  });
}

}  // namespace cornernet::quantization
