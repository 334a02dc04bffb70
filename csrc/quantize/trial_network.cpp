#include "quantize/trial_network.h"

#include <ATen/ops/abs.h>
#include <ATen/ops/add.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/div.h>
#include <ATen/ops/ge.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/sub.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/where.h>

#include <cmath>
#include <unordered_map>
#include <utility>

#include "engine/architecture.h"
#include "engine/quantization.h"

namespace cornernet::quantization {
namespace {

constexpr double kWeightLevels = 127;

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

void add_all(std::map<std::string, Difference>& differences, const HeadMaps& exact, const HeadMaps& maps) {
  const auto wanted = named_maps(exact), got = named_maps(maps);
  for (size_t m = 0; m < got.size(); ++m) differences[got[m].first].add(wanted[m].second, got[m].second);
}

}  // namespace

TrialNetwork::TrialNetwork(const CornerNetConfig& config, NamedTensors tensors, const Calibration& calibration, std::vector<at::Tensor> probes,
                           at::ScalarType wide)
    : config_(config), tensors_(std::move(tensors)), calibration_(calibration), probes_(std::move(probes)), wide_(wide) {}

NamedTensors TrialNetwork::tensors(bool equalised) const {
  NamedTensors all = tensors_;
  if (!equalised) return all;
  std::unordered_map<std::string, at::Tensor*> by_name;
  for (auto& [name, tensor] : all) by_name[name] = &tensor;
  for (const auto& [conv1, factor] : calibration_.factors()) {
    for (const char* of_norm : {"bn1.weight", "bn1.bias"}) {
      at::Tensor& tensor = *by_name.at(beside(conv1, of_norm));
      tensor = at::div(tensor, factor.to(tensor.scalar_type()));
    }
    at::Tensor& weight = *by_name.at(beside(conv1, "conv2.weight"));
    weight = at::mul(weight, factor.to(weight.scalar_type()).reshape({1, -1, 1, 1}));
  }
  return all;
}

void TrialNetwork::build(bool equalised) {
  if (network_ && equalised_ == equalised) return;
  network_.reset();  // before the next one: two are not held at a time
  network_ = std::make_unique<CornerNet>(config_);
  assign_parameters(*network_, tensors(equalised));
  equalised_ = equalised;
  weights_.clear();
  biases_.clear();
  for (const auto& [prefix, conv] : network_->parts().convs) {
    const std::string name = conv->name(prefix);
    const auto [weight, bias] = conv->folded(prefix, at::kFloat);
    const at::Tensor range = at::div(at::amax(at::abs(weight), {1, 2, 3}), kWeightLevels);
    Int8Layer& layer = weights_[name];
    // Smaller weights, which decay leaves of an output that nothing reads, are 0: no file may state such a scale.
    layer.weight_scale = at::where(at::ge(range, kLeastScale), range, at::ones_like(range)).contiguous();
    biases_[name] = bias.to(at::kFloat);
    at::Tensor mean = calibration_.input_mean(name);
    if (!mean.defined()) continue;
    if (equalised && name.ends_with(".conv2")) {
      if (const auto factor = calibration_.factors().find(beside(name, "conv1")); factor != calibration_.factors().end())
        mean = at::div(mean, factor->second);
    }
    // What rounding the weights takes from the mean of each output, borders left aside.
    const at::Tensor rounded = at::mul(quantize_weight(weight, layer.weight_scale), layer.weight_scale.reshape({-1, 1, 1, 1}));
    const at::Tensor lost = at::sum(at::sub(weight, rounded), at::OptionalIntArrayRef({2, 3})).to(at::kDouble);
    layer.bias_shift = at::sum(at::mul(lost, mean.reshape({1, -1})), at::OptionalIntArrayRef(1)).to(at::kFloat);
  }
  network_->prepare({.dtype = wide_, .device = at::kCPU, .int8 = &weights_, .both = true});
}

const Histogram& TrialNetwork::histogram_of(const Plan& plan, const std::string& place) const {
  const Place& seen = calibration_.places().at(place);
  return equalises(plan, place) ? seen.equalised : seen.plain;
}

double TrialNetwork::scale_of(const Plan& plan, const std::string& place) const {
  if (plan.wide.contains(place) || calibration_.results().contains(place) || !calibration_.places().contains(place)) return 0;
  const auto [known, added] = scales_.try_emplace({place, plan.method, equalises(plan, place)});
  if (added) known->second = histogram_of(plan, place).scale(plan.method, calibration_.places().at(place).has_sign);
  return known->second;
}

double TrialNetwork::rounding_of(const Plan& plan, const std::string& place) const {
  const double scale = scale_of(plan, place);
  return scale > 0 ? histogram_of(plan, place).rounding(scale, calibration_.places().at(place).has_sign) : 0;
}

void TrialNetwork::apply(const Plan& plan) {
  build(plan.equalised);
  for (const auto& [prefix, conv] : network_->parts().convs) {
    const std::string name = conv->name(prefix);
    const Int8Layer& layer = weights_.at(name);
    conv->output().set_scale(scale_of(plan, name));
    conv->int8().set_bias(plan.shifted && layer.bias_shift.defined() ? at::add(biases_.at(name), layer.bias_shift) : biases_.at(name));
  }
  for (const auto& [name, sum] : network_->parts().sums) sum->set_scale(scale_of(plan, name));
}

double TrialNetwork::measure(const Plan& plan) {
  apply(plan);
  std::map<std::string, Difference> differences;
  for (size_t i = 0; i < probes_.size(); ++i) add_all(differences, calibration_.reference()[i], network_->forward(probes_[i].to(wide_)));
  double sum = 0;
  for (const auto& [name, difference] : differences) sum += difference.relative();
  return sum / static_cast<double>(differences.size());
}

std::vector<Work> TrialNetwork::work(const Plan& plan) {
  apply(plan);
  return network_->work(1, probes_.front().size(2), probes_.front().size(3), wide_);
}

double TrialNetwork::wide_share(const Plan& plan) {
  double all = 0, in_wide = 0;
  for (const Work& one : work(plan)) {
    all += one.flops;
    if (!one.int8) in_wide += one.flops;
  }
  return in_wide / all;
}

QuantizeReport TrialNetwork::report(const Plan& plan) {
  QuantizeReport report;
  report.probes = static_cast<int>(probes_.size());
  const std::vector<Work> works = work(plan);
  std::map<std::string, Difference> layers, heads;
  for (size_t i = 0; i < probes_.size(); ++i) {
    const ActivationObserver observer{[&](const Activation& activation, const at::Tensor& map, bool) {
                                        const std::string& name = activation.name();
                                        if (equalises(plan, name)) return;  // another map on purpose
                                        layers[name].add(calibration_.places().at(name).samples[i], sampled(map));
                                      },
                                      {}};
    HeadMaps maps;
    observe_activations(observer, [&] { maps = network_->forward(probes_[i].to(wide_)); });
    add_all(heads, calibration_.reference()[i], maps);
  }
  double all = 0, int8 = 0;
  for (const Work& one : works) {
    all += one.flops;
    if (one.int8) int8 += one.flops;
  }
  for (const Work& one : works) {
    report.layers.push_back(
        {one.layer, one.op, one.int8, scale_of(plan, one.layer), rounding_of(plan, one.layer), layers[one.layer].relative(), one.flops / all});
  }
  for (const auto& [name, difference] : heads) report.heads.push_back({name, difference.relative()});
  report.int8_share = int8 / all;
  return report;
}

Int8Layers TrialNetwork::layers(const Plan& plan, const std::vector<LayerReport>& reported) {
  build(plan.equalised);
  Int8Layers stated;
  for (const LayerReport& one : reported) {
    Int8Layer layer;
    if (const auto known = weights_.find(one.name); one.int8 && known != weights_.end()) {
      layer.weight_scale = known->second.weight_scale;
      if (plan.shifted) layer.bias_shift = known->second.bias_shift;
    }
    layer.output_scale = one.scale;
    if (layer.weight_scale.defined() || layer.output_scale > 0) stated[one.name] = layer;
  }
  return stated;
}

}  // namespace cornernet::quantization
