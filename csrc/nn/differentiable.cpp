#include "nn/differentiable.h"

#include <ATen/ops/upsample_nearest2d_backward.h>
#include <torch/csrc/autograd/custom_function.h>

#include "nn/work_log.h"
#include "ops/upsample_add.h"

namespace cornernet {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

bool recorded(const at::Tensor& a, const at::Tensor& b) { return at::GradMode::is_enabled() && (a.requires_grad() || b.requires_grad()); }

/// Both inputs are activations that their ReLUs keep anyway; the maxima are found again on the way back.
class CornerPoolPair : public torch::autograd::Function<CornerPoolPair> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& a, int64_t direction_a, const at::Tensor& b, int64_t direction_b) {
    context->save_for_backward({a, b});
    context->saved_data["a"] = direction_a;
    context->saved_data["b"] = direction_b;
    return corner_pool_pair(a, static_cast<Direction>(direction_a), b, static_cast<Direction>(direction_b));
  }
  static variable_list backward(AutogradContext* context, variable_list grads) {
    const variable_list inputs = context->get_saved_variables();
    const auto direction = [&](const char* which) { return static_cast<Direction>(context->saved_data[which].toInt()); };
    return {corner_pool_backward(grads[0], inputs[0], direction("a")), at::Tensor(), corner_pool_backward(grads[0], inputs[1], direction("b")),
            at::Tensor()};
  }
};

class UpsampleAdd : public torch::autograd::Function<UpsampleAdd> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& low, const at::Tensor& skip) {
    context->saved_data["low"] = low.sizes();
    return upsample_nearest_add(low, skip);
  }
  static variable_list backward(AutogradContext* context, variable_list grads) {
    const at::Tensor& grad = grads[0];
    return {at::upsample_nearest2d_backward(grad, grad.sizes().slice(2), context->saved_data["low"].toIntVector()), grad};
  }
};

}  // namespace

at::Tensor pool_and_add(const at::Tensor& a, Direction direction_a, const at::Tensor& b, Direction direction_b) {
  if (a.is_meta()) return noted_pool_pair(a);
  if (!recorded(a, b)) return corner_pool_pair(a, direction_a, b, direction_b);
  return CornerPoolPair::apply(a, static_cast<int64_t>(direction_a), b, static_cast<int64_t>(direction_b));
}

at::Tensor upsample_and_add(const at::Tensor& low, const at::Tensor& skip) {
  if (skip.is_meta()) return noted_upsample_add(low, skip);
  if (!recorded(low, skip)) return upsample_nearest_add(low, skip);
  return UpsampleAdd::apply(low, skip);
}

}  // namespace cornernet
