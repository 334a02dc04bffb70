// Adds the gradients of all processes up while the backward still runs.
#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "train/process_group.h"

namespace cornernet::train {

/// Gradients go into buckets, the last layers' first, as the backward comes to them; a full bucket is on its way to the others while the backward
/// goes on, or, where some share a process, once all have come to its end. Parameters and group outlive it.
class GradientSum {
 public:
  GradientSum(const std::vector<at::Tensor>& parameters, ProcessGroup& group);
  ~GradientSum();
  GradientSum(const GradientSum&) = delete;
  GradientSum& operator=(const GradientSum&) = delete;

  /// Before each backward.
  void begin();
  /// After it: each gradient is the sum over the processes, times `factor`; none where no process had one.
  void finish(double factor);

 private:
  class Hook;
  struct Bucket {
    at::Tensor values;           // of its gradients, one after the other
    std::vector<size_t> places;  // of its parameters
    size_t missing = 0;          // gradients that have not come
    std::shared_ptr<Pending> sum;
  };
  struct Place {
    size_t bucket = 0;
    at::Tensor gradient;  // its part of the bucket
    bool came = false;
  };
  void take(size_t place);
  void send_full();

  std::vector<at::Tensor> parameters_;
  ProcessGroup& group_;
  std::vector<Bucket> buckets_;
  std::vector<Place> places_;
  size_t sent_ = 0;  // buckets: all processes send them in the same order
  bool running_ = false;
};

}  // namespace cornernet::train
