// What training differentiates by itself, against ATen's gradients and against numerical ones.
#include "nn/differentiable.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/add.h>
#include <ATen/ops/batch_norm.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/zeros.h>

#include <array>
#include <cmath>

#include "op_cases.h"
#include "ops/winograd.h"
#include "train/beginning.h"
#include "train/learner.h"

using namespace cornernet;
using namespace cornernet::testing;
using namespace cornernet::train;

namespace {

/// Largest difference as a part of the largest value.
void check_near(const at::Tensor& got, const at::Tensor& expected, double allowed, const std::string& what) {
  check(got.defined() && got.sizes() == expected.sizes(), what, " has another shape");
  const at::Tensor a = got.detach().to(at::kDouble), b = expected.detach().to(at::kDouble);
  const double difference = (a - b).abs().max().item<double>(), largest = b.abs().max().item<double>();
  check(difference <= allowed * std::max(largest, 1e-3), what, " differs by ", difference, " of ", largest);
}

/// What a type's rounding allows: fp64 and fp32 that of sums over some thousand values, bf16 and fp16 half a unit of what is stored.
double rounding(at::ScalarType type) { return type == at::kDouble ? 1e-11 : type == at::kFloat ? 2e-5 : type == at::kHalf ? 1e-3 : 8e-3; }

at::Tensor leaf(const at::Tensor& values, at::ScalarType type) { return values.to(type).detach().clone().set_requires_grad(true); }

const Registration norm("training: a norm with its sum and ReLU gives ATen's values, gradients and statistics", [] {
  const at::AutoGradMode recording(true);
  constexpr int64_t kChannels = 5;
  at::manual_seed(1);
  for (const at::ScalarType type : types_on(at::kCPU)) {
    for (const auto& [training, sum, relu] : {std::tuple(true, true, true), std::tuple(true, false, true), std::tuple(true, true, false),
                                              std::tuple(true, false, false), std::tuple(false, true, true), std::tuple(false, false, false)}) {
      const std::string what =
          std::string(c10::toString(type)) + (training ? ", training" : ", frozen") + (sum ? ", sum" : "") + (relu ? ", ReLU: " : ": ");
      const at::ScalarType own = type == at::kDouble ? at::kDouble : at::kFloat;
      // Far from 0, as a sum of squares would lose it; more rows than a chunk has.
      const at::Tensor x = leaf(at::randn({2, kChannels, 31, 33}) * 2 + 30, type), residual = leaf(at::randn({2, kChannels, 31, 33}), type);
      const at::Tensor grad = at::randn({2, kChannels, 31, 33}).to(type);
      const auto tensors = [&](at::ScalarType of) {
        at::manual_seed(2);
        const at::Tensor weight = leaf(at::randn({kChannels}), of), bias = leaf(at::randn({kChannels}), of);
        return BatchNorm{weight, bias, at::randn({kChannels}).to(of), at::ones({kChannels}, of), at::zeros({}, at::kLong), training};
      };
      const BatchNorm ours = tensors(own), twin = tensors(at::kDouble);
      const at::Tensor y = norm_and_act(x, ours, sum ? residual : at::Tensor(), relu);
      y.backward(grad);
      const at::Tensor x64 = leaf(x, at::kDouble), residual64 = leaf(residual, at::kDouble);
      at::Tensor y64 = at::batch_norm(x64, twin.weight, twin.bias, twin.running_mean, twin.running_var, training, 0.1, 1e-5, false);
      if (sum) y64 = at::add(y64, residual64);
      if (relu) y64 = at::relu(y64);
      y64.backward(grad.to(at::kDouble));
      check(y.scalar_type() == type && ours.weight.grad().scalar_type() == own, what, "another type");
      check_near(y, y64, rounding(type), what + "the result");
      check_near(x.grad(), x64.grad(), 2 * rounding(type), what + "the gradient of x");
      if (sum) check_near(residual.grad(), residual64.grad(), rounding(type), what + "the gradient of what is added");
      // 16-bit maps are measured and summed in fp32.
      const double exact = rounding(own);
      check_near(ours.weight.grad(), twin.weight.grad(), exact, what + "the gradient of the weight");
      check_near(ours.bias.grad(), twin.bias.grad(), exact, what + "the gradient of the bias");
      check_near(ours.running_mean, twin.running_mean, exact, what + "the running mean");
      check_near(ours.running_var, twin.running_var, exact, what + "the running variance");
      check(ours.batches_seen.item<int64_t>() == (training ? 1 : 0), what, "batches are counted wrong");
    }
  }
});

const Registration threads("training: a norm's sums do not depend on the number of threads", [] {
  at::manual_seed(1);
  const at::Tensor x = at::randn({2, 48, 40, 40});
  const auto with = [&](int count) {
    const Threads some(count);
    const BatchNorm one{at::ones({48}), at::zeros({48}), at::zeros({48}), at::ones({48}), {}, true};
    return norm_and_act(x, one, {}, true);
  };
  check(at::equal(with(1), with(2)), "the results differ");
});

const Registration conv("training: a convolution of a norm's result gives ATen's gradients", [] {
  const at::AutoGradMode recording(true);
  at::manual_seed(1);
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kDouble}) {
    for (const auto& [kernel, stride, biased] : {std::tuple(3, 1, false), std::tuple(3, 2, false), std::tuple(1, 1, true), std::tuple(7, 2, true)}) {
      const at::ScalarType own = type == at::kDouble ? at::kDouble : at::kFloat;
      const at::Tensor x = leaf(at::randn({2, 6, 15, 17}), type), kernels = leaf(at::randn({8, 6, kernel, kernel}) / kernel, own);
      const at::Tensor bias = biased ? leaf(at::randn({8}), own) : at::Tensor();
      const BatchNorm norm{leaf(at::ones({6}), own), leaf(at::zeros({6}), own), at::zeros({6}, own), at::ones({6}, own), {}, true};
      const at::Tensor y = conv_and_act(norm_and_act(x, norm, {}, true), kernels, bias, stride, biased);
      const at::Tensor grad = at::randn(y.sizes()).to(type);
      y.backward(grad);
      const at::Tensor x64 = leaf(x, at::kDouble), kernels64 = leaf(kernels, at::kDouble), bias64 = biased ? leaf(bias, at::kDouble) : bias;
      const at::Tensor normed = at::relu(at::batch_norm(x64, {}, {}, {}, {}, true, 0.1, 1e-5, false));
      at::Tensor y64 = at::conv2d(normed, kernels64, bias64, stride, kernel / 2);
      if (biased) y64 = at::relu(y64);
      y64.backward(grad.to(at::kDouble));
      // Three roundings follow each other, the map's, the kernels' and the result's, and a sum near 0 may fall on the ReLU's other side: in bf16 a
      // few values differ much, so that the whole is compared.
      const bool whole = type == at::kBFloat16;
      const double allowed = whole ? 0.1 : 3 * rounding(type);
      const auto check_near = [&](const at::Tensor& got, const at::Tensor& expected, double within, const std::string& which) {
        if (!whole) return ::check_near(got, expected, within, which);
        const at::Tensor a = got.detach().to(at::kDouble), b = expected.detach();
        const double difference = (a - b).norm().item<double>() / b.norm().item<double>();
        check(difference <= within, which, " differs by ", difference);
      };
      const std::string what = std::string(c10::toString(type)) + ", kernel " + std::to_string(kernel) + ": ";
      check_near(y, y64, allowed, what + "the result");
      check_near(x.grad(), x64.grad(), allowed, what + "the gradient of x");
      check_near(kernels.grad(), kernels64.grad(), allowed, what + "the gradient of the weight");
      if (biased) check_near(bias.grad(), bias64.grad(), allowed, what + "the gradient of the bias");
    }
  }
});

const Registration winograd("training: Winograd's convolution and its gradients are the definition's", [] {
  at::manual_seed(1);
  // Sides that are no multiple of a tile's, and one block of tiles that is not full.
  for (const auto& [in, out, height, width] : {std::tuple(64, 80, 67, 70), std::tuple(128, 64, 64, 66)}) {
    const at::Tensor x = at::randn({2, in, height, width}), grad = at::randn({2, out, height, width}), weight = at::randn({out, in, 3, 3}) / 24;
    check(winograd_pays(x, out, 3, 1), "it would not be used");
    const at::Tensor x64 = leaf(x, at::kDouble), weight64 = leaf(weight, at::kDouble);
    const at::AutoGradMode recording(true);
    const at::Tensor y64 = at::conv2d(x64, weight64, {}, 1, 1);
    y64.backward(grad.to(at::kDouble));
    // A point is a sum of up to a hundred times the values, of which most is taken away again: 1e-5 of the largest result was measured.
    constexpr double kAllowed = 3e-5;
    check_near(winograd_conv(x, weight), y64, kAllowed, "the result");
    check_near(winograd_conv_input_gradient(grad, weight), x64.grad(), kAllowed, "the gradient of x");
    check_near(winograd_conv_weight_gradient(grad, x), weight64.grad(), kAllowed, "the gradient of the weight");
  }
});

/// d sum(f(x) * grad) / dx by central differences.
template <typename Function>
at::Tensor numerical(const at::Tensor& x, const at::Tensor& grad, Function f) {
  constexpr double kStep = 1e-6;
  const at::NoGradGuard still;
  at::Tensor moved = x.detach().clone(), slope = at::zeros(x.sizes(), at::kDouble);
  double *const values = moved.data_ptr<double>(), *const to = slope.data_ptr<double>();
  for (int64_t i = 0; i < x.numel(); ++i) {
    const double was = values[i];
    values[i] = was + kStep;
    const double above = (f(moved) * grad).sum().template item<double>();
    values[i] = was - kStep;
    const double below = (f(moved) * grad).sum().template item<double>();
    values[i] = was;
    to[i] = (above - below) / (2 * kStep);
  }
  return slope;
}

// Values apart from each other by more than the step: at a tie there is no slope, and training_test.cpp says who gets the gradient.
const Registration slopes("training: the gradients of pooling, upsampling and norms are the slopes", [] {
  const at::AutoGradMode recording(true);
  at::manual_seed(1);
  const at::Tensor a = leaf(at::randn({2, 3, 5, 6}), at::kDouble), b = leaf(at::randn({2, 3, 5, 6}), at::kDouble);
  const at::Tensor low = leaf(at::randn({2, 3, 3, 3}), at::kDouble), grad = at::randn({2, 3, 5, 6}, at::kDouble);
  const auto pooled = [&](const at::Tensor& x) { return pool_and_add(x, Direction::Bottom, b, Direction::Left, {}); };
  const auto added = [&](const at::Tensor& x) { return upsample_and_add(x, b, {}); };
  const BatchNorm norm{at::ones({3}, at::kDouble), at::zeros({3}, at::kDouble), at::zeros({3}, at::kDouble), at::ones({3}, at::kDouble), {}, true};
  const auto normed = [&](const at::Tensor& x) { return norm_and_act(x, norm, b, true); };
  const auto hold = [&](const at::Tensor& x, auto f, const std::string& what) {
    x.mutable_grad().reset();
    f(x).backward(grad);
    check_near(x.grad(), numerical(x, grad, f), 1e-7, what);
  };
  hold(a, pooled, "pooling");
  hold(low, added, "upsampling");
  hold(a, normed, "a norm");
});

const Registration scaled("training: scaled losses teach the same, and a step that fp16 could not hold is left out", [] {
  const Threads one(1);  // the maps are so small that a second one only waits
  const auto drawn = [] { return draw_beginning({1, 8, 16, {16, 16}, {1, 1}, 8, 16}, 2, 5); };
  at::manual_seed(3);
  const at::Tensor x = at::randn({1, 3, 64, 64});
  const auto step = [&](Learner& learner) {
    const StepReport report = learner.differentiate(x, {{{10, 10, 40, 40, 1}}});
    learner.update(1e-3);
    return report;
  };
  const Beginning one_of = drawn(), other = drawn();
  Learner plain(one_of.config, one_of.tensors, {}), scaled(other.config, other.tensors, {});
  scaled.scale_losses({std::ldexp(1.0, 126)});  // fp32's own largest is beside it
  const at::Tensor before = scaled.parameters().front().detach().clone();
  check(std::isinf(step(scaled).gradient_norm) && at::equal(scaled.parameters().front(), before), "an infinite gradient taught something");
  scaled.scale_losses();
  const StepReport wanted = step(plain), got = step(scaled);
  check(std::abs(got.gradient_norm - wanted.gradient_norm) < 1e-6 * wanted.gradient_norm, "the norm is another");
  // The norms have measured twice, which the learned tensors do not know.
  for (size_t i = 0; i < plain.parameters().size(); ++i) check_near(scaled.parameters()[i], plain.parameters()[i], 1e-6, "a parameter");
});

const Registration on_gpu("training: two steps on the GPU are the CPU's (GPU)", [] {
  skip_without_gpu();
  at::globalContext().setAllowTF32CuDNN(false);
  const auto drawn = [] { return draw_beginning({2, 8, 16, {16, 16, 24}, {1, 2, 1}, 8, 16}, 2, 5); };
  at::manual_seed(3);
  const at::Tensor x = at::randn({2, 3, 64, 64});
  const at::Device gpu(at::kCUDA, 0);
  std::vector<std::pair<at::Device, at::ScalarType>> ways{{at::kCPU, at::kFloat}, {gpu, at::kFloat}, {gpu, at::kHalf}};
  if (cuda_device(0).major >= 8) ways.emplace_back(gpu, at::kBFloat16);
  std::vector<std::array<StepReport, 2>> all;
  for (const auto& [device, type] : ways) {
    for (const bool recompute : {false, true}) {
      Beginning beginning = drawn();
      for (auto& [name, tensor] : beginning.tensors) tensor = tensor.to(device);
      Learner learner(beginning.config, beginning.tensors, {});
      learner.set_recompute(recompute);
      if (type == at::kHalf) learner.scale_losses({1024});
      auto& reports = all.emplace_back();
      for (StepReport& report : reports) {
        report = learner.differentiate(x.to(device, type), {{{10, 10, 40, 40, 1}}, {{5, 5, 60, 30, 0}}});
        learner.update(1e-3);
      }
      // Seven or ten bits of mantissa, or another order of sums, through some twenty layers.
      const double allowed = type == at::kBFloat16 ? 8e-2 : type == at::kHalf ? 2e-2 : 1e-3;
      const auto hold = [&](size_t step, double value, double wanted, double factor, const char* what) {
        check(std::abs(value - wanted) < factor * allowed * wanted, device, " in ", type, recompute ? ", recomputing" : "", ", step ", step + 1, ": ",
              what, " is ", value, ", not ", wanted);
      };
      for (size_t step = 0; step < reports.size(); ++step) {
        hold(step, reports[step].total, all[0][step].total, 1, "the loss");
        hold(step, reports[step].gradient_norm, all[0][step].gradient_norm, 10, "the gradient's norm");
      }
    }
  }
  // So that the second step would show an update that teaches something else.
  check(all[0][1].total < 0.9 * all[0][0].total, "the CPU's loss went from ", all[0][0].total, " to ", all[0][1].total);
});

const Registration computed_again("training: activations computed again give the same bits, and statistics are measured once", [] {
  const Threads one(1);  // the maps are so small that a second one only waits
  const auto drawn = [] { return draw_beginning({2, 8, 16, {16, 16, 24}, {1, 2, 1}, 8, 16}, 2, 5); };
  at::manual_seed(3);
  const at::Tensor x = at::randn({2, 3, 64, 64});
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    std::vector<NamedTensors> learned;
    for (const bool recompute : {false, true}) {
      const Beginning beginning = drawn();
      Learner learner(beginning.config, beginning.tensors, {});
      learner.set_recompute(recompute);
      for (int i = 0; i < 2; ++i) {
        learner.differentiate(x.to(type), {{{10, 10, 40, 40, 1}}, {{5, 5, 60, 30, 0}}});
        learner.update(1e-3);
      }
      learned.push_back(learner.tensors());
    }
    for (size_t i = 0; i < learned[0].size(); ++i) check(at::equal(learned[0][i].second, learned[1][i].second), learned[0][i].first, " differs");
  }
});

}  // namespace
