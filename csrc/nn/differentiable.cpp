#include "nn/differentiable.h"

#include <ATen/ops/add.h>
#include <ATen/ops/upsample_nearest2d.h>
#include <torch/csrc/autograd/custom_function.h>

#include "nn/work_log.h"
#include "ops/upsample_add.h"

namespace cornernet {
namespace {

bool recorded(const at::Tensor& a, const at::Tensor& b) { return at::GradMode::is_enabled() && (a.requires_grad() || b.requires_grad()); }

class CornerPool : public torch::autograd::Function<CornerPool> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, int64_t direction) {
    context->save_for_backward({x});
    context->saved_data["direction"] = direction;
    return corner_pool(x, static_cast<Direction>(direction));
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list grads) {
    const at::Tensor x = context->get_saved_variables()[0];
    return {corner_pool_backward(grads[0], x, static_cast<Direction>(context->saved_data["direction"].toInt())), at::Tensor()};
  }
};

}  // namespace

at::Tensor pool_and_add(const at::Tensor& a, Direction direction_a, const at::Tensor& b, Direction direction_b) {
  if (a.is_meta()) return noted_pool_pair(a);
  if (!recorded(a, b)) return corner_pool_pair(a, direction_a, b, direction_b);
  return at::add(CornerPool::apply(a, static_cast<int64_t>(direction_a)), CornerPool::apply(b, static_cast<int64_t>(direction_b)));
}

at::Tensor upsample_and_add(const at::Tensor& low, const at::Tensor& skip) {
  if (skip.is_meta()) return noted_upsample_add(low, skip);
  if (!recorded(low, skip)) return upsample_nearest_add(low, skip);
  return at::add(at::upsample_nearest2d(low, skip.sizes().slice(2)), skip);
}

}  // namespace cornernet
