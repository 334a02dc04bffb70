#include "train/learner.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <array>
#include <cmath>
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

NamedTensors tensors_of(CornerNet& network) {
  NamedTensors tensors;
  for (const Parameter& parameter : in_mmdetection_order(network)) tensors.emplace_back(parameter.name, *parameter.slot);
  return tensors;
}

std::vector<at::Tensor> learned_tensors(CornerNet& network, bool freeze_backbone) {
  std::vector<at::Tensor> learned;
  for (const Parameter& parameter : in_mmdetection_order(network)) {
    if (parameter.statistic) continue;
    parameter.slot->set_requires_grad(!freeze_backbone || !parameter.name.starts_with("backbone."));
    learned.push_back(*parameter.slot);
  }
  return learned;
}

CornerNet network_of(const CornerNetConfig& config, const NamedTensors& tensors, bool freeze_backbone) {
  CornerNet network(config);
  assign_parameters(network, tensors);
  network.set_training(/*backbone=*/!freeze_backbone, /*head=*/true);
  return network;
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

Learner::Learner(const CornerNetConfig& config, const NamedTensors& tensors, bool freeze_backbone)
    : network_(network_of(config, tensors, freeze_backbone)),
      classes_(config.head.num_classes),
      tensors_(tensors_of(network_)),
      parameters_(learned_tensors(network_, freeze_backbone)),
      adam_(parameters_) {}

StepReport Learner::differentiate(const at::Tensor& x, const std::vector<std::vector<TruthBox>>& boxes) {
  const at::AutoGradMode recording(true);
  const std::vector<HeadMaps> levels = network_.forward_levels(x);
  const at::Tensor& map = levels.front().tl.heat;
  const TargetShape shape{classes_, map.size(2), map.size(3), static_cast<int>(x.size(2)), static_cast<int>(x.size(3))};
  const Targets targets = make_targets(boxes, shape);
  StepReport report;
  at::Tensor total;
  for (const HeadMaps& maps : levels) {
    const Losses losses = corner_losses(maps, targets);
    for (const auto& [values, loss] : {std::pair(&report.det, losses.det), std::pair(&report.pull, losses.pull), std::pair(&report.push, losses.push),
                                       std::pair(&report.off, losses.off)}) {
      values->push_back(loss.item<double>());
    }
    total = total.defined() ? total + losses.total() : losses.total();
  }
  report.total = total.item<double>();
  check_finite(report.total, "the loss");
  total.backward();
  report.gradient_norm = clip_gradients(parameters_, kMostGradient);
  check_finite(report.gradient_norm, "the gradient");
  return report;
}

}  // namespace cornernet::train
