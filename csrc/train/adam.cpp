#include "train/adam.h"

#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>

namespace cornernet::train {

double clip_gradients(const std::vector<at::Tensor>& parameters, double most, double scale) {
  std::vector<at::Tensor> gradients, norms;
  for (const at::Tensor& parameter : parameters) {
    if (!parameter.grad().defined()) continue;
    gradients.push_back(parameter.grad());
    norms.push_back(at::linalg_vector_norm(gradients.back()));
  }
  if (norms.empty()) return 0;
  const double norm = at::linalg_vector_norm(at::stack(norms)).item<double>() / scale;
  const double factor = std::min(1.0, most / (norm + 1e-6)) / scale;
  if (factor != 1) {
    for (at::Tensor& gradient : gradients) gradient.mul_(factor);
  }
  return norm;
}

void Adam::step(double learning_rate) {
  const AdamSettings settings;
  std::vector<at::Tensor> parameters, gradients, exp_avgs, exp_avg_sqs, steps;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    at::Tensor& parameter = parameters_[i];
    if (!parameter.grad().defined()) continue;
    State& state = states_[i];
    if (!state.steps.defined()) {
      state = {at::scalar_tensor(0, at::TensorOptions(at::kFloat).device(parameter.device())), at::zeros_like(parameter.detach()),
               at::zeros_like(parameter.detach())};
    }
    state.steps.add_(1);
    parameters.push_back(parameter.detach());
    gradients.push_back(parameter.grad().contiguous(parameter.suggest_memory_format()));  // the fused step walks through memory
    exp_avgs.push_back(state.exp_avg);
    exp_avg_sqs.push_back(state.exp_avg_sq);
    steps.push_back(state.steps);
    parameter.mutable_grad().reset();
  }
  if (parameters.empty()) return;
  at::_fused_adam_(parameters, gradients, exp_avgs, exp_avg_sqs, {}, steps, learning_rate, settings.beta1, settings.beta2, /*weight_decay=*/0,
                   settings.epsilon, /*amsgrad=*/false, /*maximize=*/false);
}

std::map<int64_t, AdamMoments> Adam::moments() const {
  std::map<int64_t, AdamMoments> moments;
  for (size_t i = 0; i < states_.size(); ++i) {
    const auto& [steps, exp_avg, exp_avg_sq] = states_[i];
    if (steps.defined()) moments[static_cast<int64_t>(i)] = {steps.item<double>(), exp_avg, exp_avg_sq};
  }
  return moments;
}

void Adam::set_moments(std::map<int64_t, AdamMoments> moments) {
  for (auto& [place, of_parameter] : moments) {
    const at::Tensor& like = parameters_.at(static_cast<size_t>(place));
    const auto copy = [&](const at::Tensor& from) { return at::zeros_like(like.detach()).copy_(from); };
    states_.at(static_cast<size_t>(place)) = {at::scalar_tensor(of_parameter.steps, at::TensorOptions(at::kFloat).device(like.device())),
                                              copy(of_parameter.exp_avg), copy(of_parameter.exp_avg_sq)};
    of_parameter = {};
  }
}

}  // namespace cornernet::train
