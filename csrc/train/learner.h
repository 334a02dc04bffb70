// The network in training: forward, losses, backward, clipping and Adam.
#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "engine/architecture.h"
#include "train/adam.h"
#include "train/corner_targets.h"
#include "train/gradient_sum.h"
#include "train/loss_scale.h"
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
  /// `tensors`: all of the network's, of fp32 or fp64 (counters apart). What is learned are copies where another layout suits the convolutions.
  Learner(const CornerNetConfig& config, const NamedTensors& tensors, Frozen frozen);

  /// From now on a batch is the group's, of which each process has a part. Where norms measure, each process is a replica of mmdetection's: gradients
  /// and losses are the means of the replicas'. Where they are frozen, nothing ties a picture to its process: they are those of the whole batch.
  /// Begins with rank 0's numbers.
  void share(ProcessGroup& group);

  /// Losses and gradients of a batch, which are clipped and then kept for update(). x: [N, 3, H, W] of a type that the losses' gradients come
  /// through. `stop`: whether this process wants to end after the step; the report says whether any does. Error(Input) when the loss is not finite,
  /// or the gradient, which scaled losses leave a while to become so.
  StepReport differentiate(const at::Tensor& x, const std::vector<std::vector<TruthBox>>& boxes, bool stop = false);
  /// Whether the hourglasses' activations are computed again on the way back instead of kept: less memory, more time, the same bits.
  void set_recompute(bool recompute) { network_.set_recompute(recompute); }
  /// Multiplies the losses before the backward by what the gradients bear in fp16, and lets a step go where they did not.
  void scale_losses(LossScaling from = {}) { scale_ = LossScale(from); }
  /// Where that is; none where losses are not scaled.
  const std::optional<LossScaling>& loss_scaling() const { return scale_.scaling(); }
  /// Along the gradients of the last differentiate(); nothing after one whose gradients fp16 could not hold.
  void update(double learning_rate) { adam_.step(learning_rate); }

  /// In mmdetection's order.
  const NamedTensors& tensors() const { return tensors_; }
  /// Those that are learned, by their places in mmdetection's optimizer.
  const std::vector<at::Tensor>& parameters() const { return parameters_; }
  Adam& adam() { return adam_; }
  const Adam& adam() const { return adam_; }

 private:
  /// Forward, losses, which go to the report, and backward; of no pictures none of them.
  void learn(const at::Tensor& x, const std::vector<std::vector<TruthBox>>& boxes, StepReport& report);
  void drop_gradients();
  /// Those of the whole batch, where the gradients are to be.
  void sum_counts(Targets& targets) const;
  void sum_report(StepReport& report) const;
  /// What a sum over the processes is multiplied by.
  double share_of_sum() const { return frozen_.norms ? 1 : 1.0 / group_->processes(); }

  Frozen frozen_;
  CornerNet network_;
  int64_t classes_, levels_;  // levels that have losses
  NamedTensors tensors_;
  std::vector<at::Tensor> parameters_;
  Adam adam_;
  ProcessGroup* group_ = nullptr;
  std::unique_ptr<GradientSum> gradients_;
  LossScale scale_;
};

}  // namespace cornernet::train
