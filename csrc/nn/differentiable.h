// The operators of our own as the network calls them: fused at inference, and with their gradients where autograd records.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>

#include "nn/activation.h"
#include "ops/corner_pool.h"

namespace cornernet {

inline constexpr double kNormEpsilon = 1e-5;  // torch's BatchNorm2d default, which mmdetection's configuration keeps

/// corner_pool(a, direction_a) + corner_pool(b, direction_b), kept as `sum`.
at::Tensor pool_and_add(const at::Tensor& a, Direction direction_a, const at::Tensor& b, Direction direction_b, const Activation& sum);
/// skip + nearest(low, size of skip), kept as `sum`.
at::Tensor upsample_and_add(const at::Tensor& low, const at::Tensor& skip, const Activation& sum);

/// [relu](conv(x, weight) + bias), padding kernel/2. The weight is cast to x's type; bias may be undefined.
at::Tensor conv_and_act(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, int64_t stride, bool relu);

/// A batch norm's tensors, torch's names.
struct BatchNorm {
  at::Tensor weight, bias, running_mean, running_var, batches_seen;  // the last may be undefined
  /// Whether it takes x's own statistics, of two values a channel at least, and keeps a running mean of them, or the ones that it holds.
  bool training;
};
/// act(norm(x) [+ residual]). What it gives is not kept for the way back, neither here nor by those above that take it: it is computed from `x`
/// again.
at::Tensor norm_and_act(const at::Tensor& x, const BatchNorm& norm, const at::Tensor& residual, bool relu);

/// forward(x). With `again` only x is kept for the way back, where forward is called again, its norms not measuring a second time; what it computes
/// with must live until then. The gradients have the same bits either way: those that reach x within it are summed before others are added.
at::Tensor through(std::function<at::Tensor(at::Tensor)> forward, at::Tensor x, bool again);

}  // namespace cornernet
