// The network in training: forward, losses, backward, clipping and Adam.
#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

#include "engine/architecture.h"
#include "train/adam.h"
#include "train/trainer.h"

namespace cornernet::train {

/// The network's tensors, in the order in which mmdetection's modules have them, which is the order of its optimizer's parameters.
std::vector<Parameter> in_mmdetection_order(CornerNet& network);

class Learner {
 public:
  /// `tensors`: all of the network's, dense, of fp32 or fp64 (counters apart); they are learned in place.
  Learner(const CornerNetConfig& config, const NamedTensors& tensors, bool freeze_backbone);

  /// Losses and gradients of a batch, which are clipped and then kept for update(). x: [N, 3, H, W] of a type that the losses' gradients come
  /// through.
  StepReport differentiate(const at::Tensor& x, const std::vector<std::vector<TruthBox>>& boxes);
  void update(double learning_rate) { adam_.step(learning_rate); }

  /// In mmdetection's order.
  const NamedTensors& tensors() const { return tensors_; }
  /// Those that are learned, by their places in mmdetection's optimizer.
  const std::vector<at::Tensor>& parameters() const { return parameters_; }
  Adam& adam() { return adam_; }
  const Adam& adam() const { return adam_; }

 private:
  CornerNet network_;
  int64_t classes_;
  NamedTensors tensors_;
  std::vector<at::Tensor> parameters_;
  Adam adam_;
};

}  // namespace cornernet::train
