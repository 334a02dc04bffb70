#include "nn/differentiable.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/batch_norm.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/convolution_backward.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/threshold_backward.h>
#include <ATen/ops/upsample_nearest2d_backward.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/functions/utils.h>

#include <array>
#include <cmath>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "nn/work_log.h"
#include "ops/norm.h"
#include "ops/upsample_add.h"
#include "ops/winograd.h"
#include "runtime/error.h"
#include "runtime/interrupt.h"

namespace cornernet {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Node;
using torch::autograd::variable_list;

constexpr double kMomentum = 0.1;  // torch's BatchNorm2d default, which mmdetection's configuration keeps
constexpr at::MemoryFormat kLayout = at::MemoryFormat::ChannelsLast;

template <typename... Tensors>
bool recorded(const Tensors&... tensors) {
  return at::GradMode::is_enabled() && (tensors.requires_grad() || ...);
}

/// How LibTorch holds a node: std::shared_ptr before 2.13.
using NodePointer = std::decay_t<decltype(std::declval<const at::Tensor&>().grad_fn())>;

template <typename N, typename Pointer = NodePointer>
Pointer new_node() {
  if constexpr (std::is_same_v<Pointer, std::shared_ptr<Node>>) {
    return std::make_shared<N>();
  } else {
    return c10::make_intrusive<N>();
  }
}

/// A node of the way back and the pointer that autograd takes.
template <typename N>
class NodeOf {
 public:
  /// inputs: in the order of the gradients that the node gives.
  template <typename... Inputs>
  explicit NodeOf(const Inputs&... inputs) : pointer_(new_node<N>()) {
    pointer_->set_next_edges(torch::autograd::collect_next_edges(inputs...));
  }
  N* operator->() const { return static_cast<N*>(pointer_.get()); }
  /// The node's result.
  at::Tensor gives(at::Tensor y) const {
    torch::autograd::set_history(y, pointer_);
    return y;
  }

 private:
  NodePointer pointer_;
};

/// Whether this thread calls a forward again, whose norms have measured.
thread_local bool again = false;

class NormNode;

/// An activation for the way back: the map itself or, where a norm gave it, the norm's node, which computes it again.
class Kept {
 public:
  Kept() = default;
  explicit Kept(const at::Tensor& map);
  at::Tensor get() const;
  void drop() { *this = Kept(); }

 private:
  at::Tensor map_;
  NodePointer node_;
  NormNode* norm_ = nullptr;  // the same
};

/// The way back through act(norm(x) [+ residual]). It keeps x, from which everything else is computed again.
class NormNode final : public Node {
 public:
  at::Tensor x;
  Kept residual;
  ChannelAffine affine;
  at::Tensor mean, inverse_deviation;
  bool relu = false, has_residual = false, measured = false;
  std::optional<c10::weak_intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>> given;

  /// What it gave: that map itself while anybody has it.
  at::Tensor activation() {
    if (again_.defined()) return again_;
    if (auto alive = given->lock()) return at::Tensor(std::move(alive)).detach();
    const at::NoGradGuard still;
    again_ = apply_norm(x, affine, has_residual ? residual.get() : at::Tensor(), relu);
    return again_;
  }

  variable_list apply(variable_list&& grads) override {
    constexpr size_t kInputs = 4;
    if (!grads[0].defined()) return variable_list(kInputs);
    const at::Tensor added = has_residual ? residual.get() : at::Tensor();
    NormGradients g = apply_norm_backward(grads[0], x, affine, added, relu, mean, inverse_deviation, measured);
    const at::ScalarType type = affine.scale.scalar_type();
    return {g.x, g.weight.to(type), g.bias.to(type), g.residual};
  }

  void release_variables() override {
    x.reset();
    again_.reset();
    residual.drop();
  }

 private:
  at::Tensor again_;
};

at::Tensor Kept::get() const { return norm_ ? norm_->activation() : map_; }

/// Where gradients of one map are summed.
class SumNode final : public Node {
 public:
  Kept x;
  variable_list apply(variable_list&& grads) override { return std::move(grads); }
  void release_variables() override { x.drop(); }
};

Kept::Kept(const at::Tensor& map) : node_(map.grad_fn()), norm_(dynamic_cast<NormNode*>(node_.get())) {
  if (norm_) return;
  if (const auto* const sum = dynamic_cast<SumNode*>(node_.get())) {
    const Kept summed = sum->x;
    *this = summed;
    return;
  }
  node_ = {};
  map_ = map.detach();
}

/// The way back through [relu](conv(x, weight) + bias).
class ConvNode final : public Node {
 public:
  Kept x;
  at::Tensor weight;
  at::Tensor y;  // its values alone, with the ReLU
  std::vector<int64_t> bias_sizes;
  int64_t stride = 1;

  variable_list apply(variable_list&& grads) override {
    check_interrupted();
    constexpr size_t kInputs = 3;
    if (!grads[0].defined()) return variable_list(kInputs);
    at::Tensor grad = grads[0];
    if (y.defined()) grad = at::threshold_backward(grad, y, 0);
    const at::Tensor in = x.get();
    const at::Tensor kernel = weight.to(in.scalar_type());
    const bool has_bias = !bias_sizes.empty();
    const bool to_x = task_should_compute_output(0), to_weight = task_should_compute_output(1);
    const bool to_bias = has_bias && task_should_compute_output(2);
    variable_list to(kInputs);
    if (winograd_pays(in, weight.size(0), weight.size(2), stride)) {
      grad = grad.contiguous(kLayout);
      if (to_x) to[0] = winograd_conv_input_gradient(grad, kernel);
      if (to_weight) to[1] = winograd_conv_weight_gradient(grad, in);
      if (to_bias) to[2] = at::sum(grad, {0, 2, 3});
      return to;
    }
    // oneDNN finds the weight's gradient of a strided convolution two and a half times as fast in the other layout.
    if (to_weight && stride > 1) {
      to[1] = std::get<1>(backward(grad.contiguous(), in.contiguous(), kernel.contiguous(), {false, true, false}));
      if (to_x) to[0] = std::get<0>(backward(grad.contiguous(kLayout), in, kernel, {true, false, false}));
      if (to_bias) to[2] = at::sum(grad, {0, 2, 3});
    } else {
      std::tie(to[0], to[1], to[2]) = backward(grad.contiguous(kLayout), in, kernel, {to_x, to_weight, to_bias});
    }
    for (at::Tensor& learned : {std::ref(to[1]), std::ref(to[2])}) {
      if (learned.defined()) learned = learned.to(weight.scalar_type());
    }
    return to;
  }

  void release_variables() override {
    x.drop();
    y.reset();
  }

 private:
  std::tuple<at::Tensor, at::Tensor, at::Tensor> backward(const at::Tensor& grad, const at::Tensor& in, const at::Tensor& kernel,
                                                          std::array<bool, 3> mask) const {
    const int64_t padding = kernel.size(2) / 2;
    return at::convolution_backward(grad, in, kernel, bias_sizes.empty() ? at::OptionalIntArrayRef() : at::OptionalIntArrayRef(bias_sizes),
                                    {stride, stride}, {padding, padding}, {1, 1}, false, {0, 0}, 1, mask);
  }
};

/// The maxima are found again on the way back.
class PoolPairNode final : public Node {
 public:
  Kept a, b;
  Direction direction_a, direction_b;

  variable_list apply(variable_list&& grads) override {
    if (!grads[0].defined()) return variable_list(2);
    return {corner_pool_backward(grads[0], a.get(), direction_a), corner_pool_backward(grads[0], b.get(), direction_b)};
  }
  void release_variables() override {
    a.drop();
    b.drop();
  }
};

/// The way back through a forward that is called again.
class AgainNode final : public Node {
 public:
  Kept x;
  std::function<at::Tensor(at::Tensor)> forward;

  variable_list apply(variable_list&& grads) override {
    if (!grads[0].defined()) return variable_list(1);
    const at::Tensor leaf = x.get().detach().requires_grad_();
    at::Tensor y;
    {
      const at::AutoGradMode recording(true);
      const struct Again {
        Again() { again = true; }
        ~Again() { again = false; }
      } unmeasured;
      y = forward(leaf);
    }
    torch::autograd::backward({y}, {grads[0]});
    return {leaf.grad()};
  }
  void release_variables() override { x.drop(); }
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

/// A norm's constants for one forward, in `type`. fp64 inside.
struct Constants {
  ChannelAffine affine;
  at::Tensor mean, inverse_deviation;
};

Constants constants_of(const at::Tensor& x, const BatchNorm& norm) {
  const at::ScalarType type = x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const auto exact = [](const at::Tensor& numbers) { return numbers.detach().to(at::kDouble).contiguous(); };
  const ChannelMoments moments = norm.training ? channel_moments(x) : ChannelMoments{exact(norm.running_mean), exact(norm.running_var)};
  const at::Tensor weight = exact(norm.weight), bias = exact(norm.bias), inverse = at::empty_like(moments.mean);
  const at::Tensor scale = at::empty_like(moments.mean), shift = at::empty_like(moments.mean);
  const double *const mean = moments.mean.const_data_ptr<double>(), *const variance = moments.variance.const_data_ptr<double>();
  const double *const w = weight.const_data_ptr<double>(), *const b = bias.const_data_ptr<double>();
  double *const to_inverse = inverse.mutable_data_ptr<double>(), *const to_scale = scale.mutable_data_ptr<double>(),
                *const to_shift = shift.mutable_data_ptr<double>();
  for (int64_t c = 0; c < moments.mean.numel(); ++c) {
    to_inverse[c] = 1 / std::sqrt(variance[c] + kNormEpsilon);
    to_scale[c] = w[c] * to_inverse[c];
    to_shift[c] = b[c] - mean[c] * to_scale[c];
  }
  if (norm.training && !again) {
    if (norm.batches_seen.defined()) norm.batches_seen.add_(1);
    const auto count = static_cast<double>(x.numel() / x.size(1));
    norm.running_mean.mul_(1 - kMomentum).add_(moments.mean.to(norm.running_mean.scalar_type()), kMomentum);
    norm.running_var.mul_(1 - kMomentum).add_(moments.variance.to(norm.running_var.scalar_type()), kMomentum * (count / (count - 1)));
  }
  return {{scale.to(type), shift.to(type)}, moments.mean, inverse};
}

}  // namespace

at::Tensor pool_and_add(const at::Tensor& a, Direction direction_a, const at::Tensor& b, Direction direction_b, const Activation& sum) {
  if (a.is_meta()) return noted_pool_pair(a, b, sum);
  if (sum.affine() && a.is_quantized() && b.is_quantized()) return sum.kept(corner_pool_pair(a, direction_a, b, direction_b, *sum.affine()));
  if (!recorded(a, b)) return sum.kept(corner_pool_pair(sum.widened(a), direction_a, sum.widened(b), direction_b));
  const NodeOf<PoolPairNode> node(a, b);
  node->a = Kept(a);
  node->b = Kept(b);
  node->direction_a = direction_a;
  node->direction_b = direction_b;
  return node.gives(corner_pool_pair(a.detach(), direction_a, b.detach(), direction_b));
}

at::Tensor upsample_and_add(const at::Tensor& low, const at::Tensor& skip, const Activation& sum) {
  if (skip.is_meta()) return noted_upsample_add(low, skip, sum);
  if (recorded(low, skip)) return UpsampleAdd::apply(low, skip);
  if (sum.affine() && low.is_quantized() && skip.is_quantized()) return sum.kept(upsample_nearest_add(low, skip, *sum.affine()));
  return sum.kept(upsample_nearest_add(sum.widened(low), sum.widened(skip)));
}

at::Tensor conv_and_act(const at::Tensor& input, const at::Tensor& weight, const at::Tensor& bias, int64_t stride, bool relu) {
  const at::ScalarType type = input.scalar_type();
  const int64_t padding = weight.size(2) / 2;
  const auto by_aten = [&](const at::Tensor& x) {
    const at::Tensor y = at::conv2d(x, weight.to(type), bias.defined() ? bias.to(type) : bias, stride, padding);
    return relu ? at::relu(y) : y;
  };
  const auto compute = [&](const at::Tensor& x) {
    if (!winograd_pays(x, weight.size(0), weight.size(2), stride)) return by_aten(x);
    const at::Tensor y = winograd_conv(x, weight.detach());
    if (bias.defined()) return apply_norm(y, {at::ones_like(bias.detach()), bias.detach()}, {}, relu);
    return relu ? at::relu(y) : y;
  };
  const at::Tensor x = input.contiguous(kLayout);
  if (!x.is_cpu()) return by_aten(x);
  if (!recorded(x, weight, bias)) return compute(x);
  const NodeOf<ConvNode> node(x, weight, bias);
  const at::NoGradGuard still;
  node->x = Kept(x);
  node->weight = weight.detach();
  node->stride = stride;
  if (bias.defined()) node->bias_sizes = bias.sizes().vec();
  const at::Tensor y = compute(x.detach());
  if (relu) node->y = y.detach();
  return node.gives(y);
}

at::Tensor norm_and_act(const at::Tensor& x, const BatchNorm& norm, const at::Tensor& residual, bool relu) {
  require(!norm.training || x.numel() > x.size(1), ErrorCode::Input,
          "a norm would measure the spread of a single value a channel: it needs more pictures a step, a larger crop, or norms that are frozen");
  if (!x.is_cpu()) {
    if (norm.training && norm.batches_seen.defined() && !again) norm.batches_seen.add_(1);
    // Called again it measures into copies.
    const auto measured = [&](const at::Tensor& statistic) { return again ? statistic.clone() : statistic; };
    at::Tensor y = at::batch_norm(x, norm.weight, norm.bias, measured(norm.running_mean), measured(norm.running_var), norm.training, kMomentum,
                                  kNormEpsilon, true);
    if (residual.defined()) y = at::add(y, residual);
    return relu ? at::relu(y) : y;
  }
  const bool records = recorded(x, norm.weight, norm.bias) || (residual.defined() && recorded(residual));
  std::optional<NodeOf<NormNode>> recorded_node;
  if (records) recorded_node.emplace(x, norm.weight, norm.bias, residual);
  const at::NoGradGuard still;
  Constants constants = constants_of(x, norm);
  at::Tensor y = apply_norm(x, constants.affine, residual, relu);
  if (!records) return y;
  const NodeOf<NormNode>& node = *recorded_node;
  node->x = x.detach();
  node->affine = std::move(constants.affine);
  node->mean = std::move(constants.mean);
  node->inverse_deviation = std::move(constants.inverse_deviation);
  node->relu = relu;
  node->has_residual = residual.defined();
  if (residual.defined()) node->residual = Kept(residual);
  node->measured = norm.training;
  node->given.emplace(y.getIntrusivePtr());
  return node.gives(std::move(y));
}

at::Tensor through(std::function<at::Tensor(at::Tensor)> forward, at::Tensor x, bool again) {
  if (!recorded(x)) return forward(std::move(x));
  if (!again) {
    const NodeOf<SumNode> node(x);
    node->x = Kept(x);
    return forward(node.gives(x.detach()));
  }
  const NodeOf<AgainNode> node(x);
  const at::NoGradGuard still;
  node->x = Kept(x);
  const at::Tensor y = forward(x.detach());
  node->forward = std::move(forward);
  return node.gives(y);
}

}  // namespace cornernet
