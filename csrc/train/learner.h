// The network in training: forward, losses, backward, clipping and Adam.
#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "engine/architecture.h"
#include "train/adam.h"
#include "train/corner_targets.h"
#include "train/gradient_sum.h"
#include "train/trainer.h"

namespace cornernet::train {

/// What does not learn.
struct Frozen {
  bool backbone = false;
  bool norms = false;  // they keep their statistics; their scales and shifts learn
};

/// The network's tensors, in the order in which mmdetection's modules have them, which is the order of its optimizer's parameters.
std::vector<Parameter> in_mmdetection_order(CornerNet& network);

class Learner {
 public:
  /// `tensors`: all of the network's, dense, of fp32 or fp64 (counters apart); they are learned in place.
  Learner(const CornerNetConfig& config, const NamedTensors& tensors, Frozen frozen);

  /// From now on a batch is the group's, of which each process has a part. Where norms measure, each process is a replica of mmdetection's: gradients
  /// and losses are the means of the replicas'. Where they are frozen, nothing ties a picture to its process: they are those of the whole batch.
  /// Begins with rank 0's numbers.
  void share(ProcessGroup& group);

  /// Losses and gradients of a batch, which are clipped and then kept for update(). x: [N, 3, H, W] of a type that the losses' gradients come
  /// through. `stop`: whether this process wants to end after the step; the report says whether any does.
  StepReport differentiate(const at::Tensor& x, const std::vector<std::vector<TruthBox>>& boxes, bool stop = false);
  void update(double learning_rate) { adam_.step(learning_rate); }

  /// In mmdetection's order.
  const NamedTensors& tensors() const { return tensors_; }
  /// Those that are learned, by their places in mmdetection's optimizer.
  const std::vector<at::Tensor>& parameters() const { return parameters_; }
  Adam& adam() { return adam_; }
  const Adam& adam() const { return adam_; }

 private:
  /// Fills the report's; the sum to differentiate, undefined without pictures.
  at::Tensor losses(const at::Tensor& x, const std::vector<std::vector<TruthBox>>& boxes, StepReport& report);
  /// Those of the whole batch, where the gradients are to be.
  void sum_counts(Targets& targets) const;
  void sum_report(StepReport& report) const;
  /// What a sum over the processes is multiplied by.
  double share_of_sum() const { return frozen_.norms ? 1 : 1.0 / group_->processes(); }

  Frozen frozen_;
  CornerNet network_;
  int64_t classes_, levels_;
  NamedTensors tensors_;
  std::vector<at::Tensor> parameters_;
  Adam adam_;
  ProcessGroup* group_ = nullptr;
  std::unique_ptr<GradientSum> gradients_;
};

}  // namespace cornernet::train
