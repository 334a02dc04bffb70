// Counts a forward's work: layers given a tensor without data (device "meta") compute shapes only and note here what they would have done.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

#include "nn/activation.h"
#include "ops/work.h"

namespace cornernet {

/// What the layers note on this thread while `forward` runs, in their order.
std::vector<Work> log_work(const std::function<void()>& forward);

/// The results, without data, of a convolution with padding kernel/2, of two poolings' sum and of an upsampling with a sum, kept as `out`.
struct NotedConv {
  int64_t out_channels, kernel, stride;
  bool relu, residual;
};
at::Tensor noted_conv(const at::Tensor& x, const NotedConv& conv, const Activation& out);
at::Tensor noted_pool_pair(const at::Tensor& a, const at::Tensor& b, const Activation& out);
at::Tensor noted_upsample_add(const at::Tensor& low, const at::Tensor& skip, const Activation& out);

}  // namespace cornernet
