// Adam, as torch.optim.Adam computes it, and clipping of gradients by their common norm.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "checkpoint/checkpoint_writer.h"

namespace cornernet::train {

/// The norm of all defined gradients together; above `most` they are scaled down to it, as torch.nn.utils.clip_grad_norm_ does. They come multiplied
/// by `scale`, which is undone.
double clip_gradients(const std::vector<at::Tensor>& parameters, double most, double scale = 1);

class Adam {
 public:
  explicit Adam(std::vector<at::Tensor> parameters) : parameters_(std::move(parameters)), states_(parameters_.size()) {}

  /// One step along the gradients, which are dropped. Parameters without a gradient stay.
  void step(double learning_rate);
  /// By the parameter's place, of those that have been stepped.
  std::map<int64_t, AdamMoments> moments() const;
  /// Takes copies, and drops each of `moments` as it is copied. Moments must have their parameters' shapes.
  void set_moments(std::map<int64_t, AdamMoments> moments);

 private:
  struct State {
    at::Tensor steps, exp_avg, exp_avg_sq;
  };
  std::vector<at::Tensor> parameters_;
  std::vector<State> states_;
};

}  // namespace cornernet::train
