#include "train/learner.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "runtime/error.h"
#include "train/corner_losses.h"

namespace cornernet::train {
namespace {

constexpr double kMostGradient = 35;  // mmdetection's configuration: grad_clip

/// Branches of mmdetection's head, each with all of its levels.
constexpr std::array<std::string_view, 8> kBranches{"tl_pool", "br_pool", "tl_heat", "br_heat", "tl_off", "br_off", "tl_emb", "br_emb"};

size_t branch_of(std::string_view name) {
  constexpr std::string_view kHead = "bbox_head.";
  if (!name.starts_with(kHead)) return 0;
  const std::string_view rest = name.substr(kHead.size());
  const auto found = std::find(kBranches.begin(), kBranches.end(), rest.substr(0, rest.find('.')));
  return 1 + static_cast<size_t>(found - kBranches.begin());
}

/// Kernels channels-last, as the maps are: else every convolution would turn them around.
NamedTensors laid_out(const NamedTensors& tensors) {
  NamedTensors turned;
  for (const auto& [name, tensor] : tensors)
    turned.emplace_back(name, tensor.contiguous(tensor.dim() == 4 ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous));
  return turned;
}

NamedTensors tensors_of(CornerNet& network) {
  NamedTensors tensors;
  for (const Parameter& parameter : in_mmdetection_order(network)) tensors.emplace_back(parameter.name, *parameter.slot);
  return tensors;
}

std::vector<at::Tensor> learned_tensors(CornerNet& network, Frozen frozen) {
  std::vector<at::Tensor> learned;
  for (const Parameter& parameter : in_mmdetection_order(network)) {
    if (parameter.statistic) continue;
    parameter.slot->set_requires_grad(!frozen.backbone || !parameter.name.starts_with("backbone."));
    learned.push_back(*parameter.slot);
  }
  return learned;
}

CornerNet network_of(const CornerNetConfig& config, const NamedTensors& tensors, Frozen frozen) {
  CornerNet network(config);
  assign_parameters(network, laid_out(tensors));
  network.set_training(/*backbone=*/!frozen.backbone && !frozen.norms, /*head=*/!frozen.norms);
  return network;
}

void move_to(at::Device device, Targets& targets) {
  for (CornerTargets* corner : {&targets.tl, &targets.br}) {
    corner->heat = corner->heat.to(device);
    corner->offset = corner->offset.to(device);
  }
}

/// Each becomes the sum over the processes.
void sum_over(ProcessGroup& group, const std::vector<double*>& numbers) {
  const at::Tensor sums = at::zeros({static_cast<int64_t>(numbers.size())}, at::kDouble);
  double* const values = sums.mutable_data_ptr<double>();
  for (size_t i = 0; i < numbers.size(); ++i) values[i] = *numbers[i];
  group.sum(sums);
  for (size_t i = 0; i < numbers.size(); ++i) *numbers[i] = values[i];
}

void check_finite(double value, const char* what) {
  if (!std::isfinite(value)) throw Error(ErrorCode::Input, std::string(what) + " is not finite (" + std::to_string(value) + ")");
}

}  // namespace

std::vector<Parameter> in_mmdetection_order(CornerNet& network) {
  std::vector<Parameter> parameters = network.parameters();
  std::stable_sort(parameters.begin(), parameters.end(),
                   [](const Parameter& a, const Parameter& b) { return branch_of(a.name) < branch_of(b.name); });
  return parameters;
}

Learner::Learner(const CornerNetConfig& config, const NamedTensors& tensors, Frozen frozen)
    : frozen_(frozen),
      network_(network_of(config, tensors, frozen)),
      classes_(config.head.num_classes),
      levels_(std::min(config.backbone.num_stacks, config.head.num_levels)),
      tensors_(tensors_of(network_)),
      parameters_(learned_tensors(network_, frozen)),
      adam_(parameters_) {}

void Learner::share(ProcessGroup& group) {
  group_ = &group;
  gradients_ = std::make_unique<GradientSum>(parameters_, group);
  const bool gives = group.rank() == 0;
  std::map<int64_t, AdamMoments> moments;
  if (gives) moments = adam_.moments();
  const at::Tensor steps = at::zeros({static_cast<int64_t>(parameters_.size())}, at::kDouble);
  for (const auto& [place, of_parameter] : moments) steps[place].fill_(of_parameter.steps);
  group.broadcast(steps);
  for (int64_t place = 0; place < steps.numel() && !gives; ++place) {
    const double done = steps[place].item<double>();
    const at::Tensor like = parameters_[static_cast<size_t>(place)].detach();
    if (done > 0) moments[place] = {done, at::zeros_like(like), at::zeros_like(like)};
  }
  group.exchange("has its memory");  // before the first GPU waits for another: shares_process()
  for (const auto& [name, tensor] : tensors_) group.broadcast(tensor.detach());
  for (const auto& [place, of_parameter] : moments) {
    if (of_parameter.steps == 0) continue;
    group.broadcast(of_parameter.exp_avg);
    group.broadcast(of_parameter.exp_avg_sq);
  }
  if (!gives) adam_.set_moments(moments);
}

void Learner::sum_counts(Targets& targets) const {
  if (group_ && frozen_.norms) sum_over(*group_, {&targets.tl.ones, &targets.tl.marked, &targets.br.ones, &targets.br.marked});
}

void Learner::sum_report(StepReport& report) const {
  std::vector<double*> numbers{&report.total};
  for (std::vector<double>* of_levels : {&report.det, &report.pull, &report.push, &report.off}) {
    for (double& number : *of_levels) numbers.push_back(&number);
  }
  for (double* const number : numbers) *number *= share_of_sum();
  double pictures = static_cast<double>(report.pictures), stops = report.stop ? 1 : 0;
  numbers.insert(numbers.end(), {&pictures, &stops});
  sum_over(*group_, numbers);
  report.pictures = static_cast<int64_t>(pictures);
  report.stop = stops > 0;
}

void Learner::learn(const at::Tensor& x, const std::vector<std::vector<TruthBox>>& boxes, StepReport& report) {
  if (boxes.empty()) {  // the other processes have the step's pictures
    Targets none;
    sum_counts(none);
    for (std::vector<double>* of_levels : {&report.det, &report.pull, &report.push, &report.off}) of_levels->assign(static_cast<size_t>(levels_), 0);
    return;
  }
  std::optional<Targets> targets;  // once the maps' size is known
  network_.learn(x, [&](const HeadMaps& maps) {
    if (!targets) {
      const at::Tensor& map = maps.tl.heat;
      targets = make_targets(boxes, {classes_, map.size(2), map.size(3), static_cast<int>(x.size(2)), static_cast<int>(x.size(3))});
      sum_counts(*targets);
      move_to(x.device(), *targets);
    }
    const Losses losses = corner_losses(maps, *targets);
    for (const auto& [values, loss] : {std::pair(&report.det, losses.det), std::pair(&report.pull, losses.pull), std::pair(&report.push, losses.push),
                                       std::pair(&report.off, losses.off)}) {
      values->push_back(loss.item<double>());
    }
    const at::Tensor total = losses.total();
    report.total += total.item<double>();
    check_finite(report.total, "the loss");
    (scale_.scaling() ? total * scale_.factor() : total).backward();
  });
}

void Learner::drop_gradients() {
  for (const at::Tensor& parameter : parameters_) parameter.mutable_grad().reset();
}

StepReport Learner::differentiate(const at::Tensor& x, const std::vector<std::vector<TruthBox>>& boxes, bool stop) {
  const at::AutoGradMode recording(true);
  drop_gradients();  // of a step that was given up
  StepReport report;
  report.pictures = static_cast<int64_t>(boxes.size());
  report.stop = stop;
  if (gradients_) gradients_->begin();
  learn(x, boxes, report);
  if (gradients_) {
    gradients_->finish(share_of_sum());
    sum_report(report);
  }
  require(report.pictures > 0, ErrorCode::Input, "no process could read a picture");
  report.gradient_norm = clip_gradients(parameters_, kMostGradient, scale_.factor());
  const bool finite = std::isfinite(report.gradient_norm);
  if (!scale_.can_yield()) check_finite(report.gradient_norm, "the gradient");
  scale_.note(finite);
  if (!finite) {
    report.gradient_norm = std::numeric_limits<double>::infinity();
    drop_gradients();
  }
  return report;
}

}  // namespace cornernet::train
