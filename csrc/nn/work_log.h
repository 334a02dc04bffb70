// Counts a forward's work: layers given a tensor without data (device "meta") compute shapes only and note here what they would have done.
#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

#include "ops/work.h"

namespace cornernet {

/// Collects what the layers note on this thread while it lives.
class WorkLog {
 public:
  WorkLog();
  ~WorkLog();
  WorkLog(const WorkLog&) = delete;
  WorkLog& operator=(const WorkLog&) = delete;
  std::vector<Work> take() { return std::move(noted_); }

 private:
  friend void note_work(Work work);
  std::vector<Work> noted_;
};

/// Without a WorkLog on this thread, nothing is kept.
void note_work(Work work);

/// The results, without data, of a convolution with padding kernel/2, of two poolings' sum and of an upsampling with a sum.
at::Tensor noted_conv(const at::Tensor& x, int64_t out_channels, int64_t kernel, int64_t stride, bool relu, bool residual);
at::Tensor noted_pool_pair(const at::Tensor& a);
at::Tensor noted_upsample_add(const at::Tensor& low, const at::Tensor& skip);

}  // namespace cornernet
