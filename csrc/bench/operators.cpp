#include "bench/operators.h"

#include <ATen/Context.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/add.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/cummax.h>
#include <ATen/ops/dequantize.h>
#include <ATen/ops/div.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/flip.h>
#include <ATen/ops/max.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/round.h>
#include <ATen/ops/sub.h>
#include <ATen/ops/upsample_nearest2d.h>

#include <cmath>
#include <limits>
#include <random>

#include "ops/conv.h"
#include "ops/corner_pool.h"
#include "ops/quantized_conv.h"
#include "ops/upsample_add.h"
#include "runtime/error.h"

namespace cornernet::bench {
namespace {

/// Values between -1 and 1, the same for the same seed, channels-last.
at::Tensor drawn(at::IntArrayRef shape, at::ScalarType dtype, at::Device device, unsigned seed) {
  at::Tensor x = at::empty(shape, at::kFloat);
  std::mt19937 random(seed);
  float* const values = x.data_ptr<float>();
  for (int64_t i = 0; i < x.numel(); ++i) values[i] = static_cast<float>(random() % 4096) / 2048.f - 1.f;
  return x.to(device, dtype).contiguous(at::MemoryFormat::ChannelsLast);
}

/// 0 when equal element for element to what is rounded here (operators that only choose, and sums rounded once), infinite otherwise.
double exact_error(const at::Tensor& y, const at::Tensor& expected) {
  return at::equal(y, expected.to(y.scalar_type())) ? 0 : std::numeric_limits<double>::infinity();
}

/// Scans from the last element to the first.
at::Tensor cummax_backwards(const at::Tensor& x, int64_t axis) { return at::flip(std::get<0>(at::cummax(at::flip(x, {axis}), axis)), {axis}); }

at::Tensor pooled_by_aten(const at::Tensor& down, const at::Tensor& across) {
  return at::add(cummax_backwards(down, 2), cummax_backwards(across, 3));
}

at::Tensor upsampled_by_aten(const at::Tensor& low, const at::Tensor& onto) {
  return at::add(onto, at::upsample_nearest2d(low, onto.sizes().slice(2)));
}

Operator pool_pair(const Work& w, at::ScalarType dtype, at::Device device) {
  const at::Tensor a = drawn({w.n, w.in_channels, w.height, w.width}, dtype, device, 1), b = drawn(a.sizes(), dtype, device, 2);
  return {[=] { return corner_pool_pair(a, Direction::Top, b, Direction::Left); }, [=] { return pooled_by_aten(a, b); },
          [=](const at::Tensor& y) { return exact_error(y, pooled_by_aten(a.to(at::kFloat), b.to(at::kFloat))); }};
}

Operator upsample_add(const Work& w, at::ScalarType dtype, at::Device device) {
  const at::Tensor skip = drawn({w.n, w.in_channels, w.height, w.width}, dtype, device, 3);
  const at::Tensor low = drawn({w.n, w.in_channels, (w.height + 1) / 2, (w.width + 1) / 2}, dtype, device, 4);
  return {[=] { return upsample_nearest_add(low, skip); }, [=] { return upsampled_by_aten(low, skip); },
          [=](const at::Tensor& y) { return exact_error(y, upsampled_by_aten(low.to(at::kFloat), skip.to(at::kFloat))); }};
}

/// What each product may be off by: fp32's sums, or TF32's rounding of both factors to 11 bits where torch's default lets cuDNN use it.
double allowed_of_a_product(const at::Tensor& result) {
  const bool tf32 = result.is_cuda() && result.scalar_type() == at::kFloat && at::globalContext().allowTF32CuDNN();
  return tf32 ? 1.0 / 1024 : 1e-5;
}

int64_t side_after(const Work& w, int64_t side) { return (side + 2 * (w.kernel / 2) - w.kernel) / w.stride + 1; }

Operator conv(const Work& w, at::ScalarType dtype, at::Device device) {
  const at::Tensor x = drawn({w.n, w.in_channels, w.height, w.width}, dtype, device, 6);
  const at::Tensor weight = drawn({w.out_channels, w.in_channels, w.kernel, w.kernel}, dtype, device, 7);
  const at::Tensor bias = drawn({1, w.out_channels, 1, 1}, dtype, device, 8).reshape({w.out_channels});
  const at::Tensor residual =
      w.residual ? drawn({w.n, w.out_channels, side_after(w, w.height), side_after(w, w.width)}, dtype, device, 9) : at::Tensor();
  const PackedConv packed(weight.contiguous(), bias, w.stride, dtype, device);
  const auto product = [w](const at::Tensor& from, const at::Tensor& with, const at::Tensor& onto) {
    return at::conv2d(from, with, onto, w.stride, w.kernel / 2);
  };
  const auto finish = [w](const at::Tensor& sum, const at::Tensor& other) {
    const at::Tensor y = w.residual ? at::add(sum, other) : sum;
    return w.relu ? at::relu(y) : y;
  };
  // In fp32. Allowed: rounding to the result's dtype by half a unit in the last place after the product, after its bias and after the residual, as
  // where nothing is fused, and what the products, of this size together, may be off by.
  const auto wide = [](const at::Tensor& t) { return t.defined() ? t.to(at::kFloat) : t; };
  const auto error = [=](const at::Tensor& y) {
    const double half = y.scalar_type() == at::kFloat ? 0.0 : y.scalar_type() == at::kHalf ? 1.0 / 2048 : 1.0 / 256;
    const at::Tensor alone = product(wide(x), wide(weight), {}), sum = product(wide(x), wide(weight), wide(bias));
    const at::Tensor expected = finish(sum, wide(residual));
    const at::Tensor rounded = at::add(at::add(at::abs(alone), at::abs(sum)), at::abs(expected));
    const at::Tensor size = product(at::abs(wide(x)), at::abs(wide(weight)), at::abs(wide(bias)));
    const at::Tensor allowed = at::add(at::add(at::mul(rounded, half), at::mul(size, allowed_of_a_product(y))), 1e-30);
    return at::max(at::div(at::abs(at::sub(wide(y), expected)), allowed)).item<double>();
  };
  return {[=] { return w.residual ? packed.forward_add_relu(x, residual) : packed.forward(x, w.relu); },
          [=] { return finish(product(x, weight, bias), residual); }, error};
}

/// Numbers from 0 to 1 in 8 bits, the same for the same seed, channels-last.
at::Tensor drawn_bytes(at::IntArrayRef shape, unsigned seed) { return quantize(at::abs(drawn(shape, at::kFloat, at::kCPU, seed)), {1.0 / 255, 0}); }

/// ATen composes nothing of bytes: it goes through the numbers that they stand for.
Operator of_bytes(const std::function<at::Tensor()>& ours, const std::function<at::Tensor()>& numbers, const Affine& to) {
  const auto aten = [=] {
    const at::Tensor steps = at::round(at::add(at::mul(numbers(), 1 / to.scale), static_cast<double>(to.zero_point)));
    return as_quantized(at::clamp(steps, 0, 255).to(at::kByte), to);
  };
  // Allowed: one step, as sums in fp32 may fall to the other side of a tie. The tests hold every byte.
  const auto whole = [](const at::Tensor& map) { return bytes_of(map).to(at::kFloat); };
  return {ours, aten, [=](const at::Tensor& y) { return at::max(at::abs(at::sub(whole(y), whole(aten())))).item<double>(); }};
}

Operator int8_pool_pair(const Work& w) {
  const at::Tensor a = drawn_bytes({w.n, w.in_channels, w.height, w.width}, 1), b = drawn_bytes(a.sizes(), 2);
  const Affine to{2.0 / 255, 0};
  return of_bytes([=] { return corner_pool_pair(a, Direction::Top, b, Direction::Left, to); },
                  [=] { return pooled_by_aten(at::dequantize(a), at::dequantize(b)); }, to);
}

Operator int8_upsample_add(const Work& w) {
  const at::Tensor skip = drawn_bytes({w.n, w.in_channels, w.height, w.width}, 3);
  const at::Tensor low = drawn_bytes({w.n, w.in_channels, (w.height + 1) / 2, (w.width + 1) / 2}, 4);
  const Affine to{2.0 / 255, 0};
  return of_bytes([=] { return upsample_nearest_add(low, skip, to); }, [=] { return upsampled_by_aten(at::dequantize(low), at::dequantize(skip)); },
                  to);
}

/// Into bytes, over a copy of the residual, as the network's fused ones write over theirs.
Operator int8_conv(const Work& w) {
  const at::Tensor x = drawn_bytes({w.n, w.in_channels, w.height, w.width}, 6);
  const at::Tensor weight = drawn({w.out_channels, w.in_channels, w.kernel, w.kernel}, at::kFloat, at::kCPU, 7).contiguous();
  const at::Tensor scale = at::empty({w.out_channels}, at::kFloat).fill_(1.0 / 127), whole = quantize_weight(weight, scale);
  const at::Tensor bias = drawn({1, w.out_channels, 1, 1}, at::kFloat, at::kCPU, 8).reshape({w.out_channels});
  const at::Tensor residual = w.residual ? drawn_bytes({w.n, w.out_channels, side_after(w, w.height), side_after(w, w.width)}, 9) : at::Tensor();
  // A product's deviation is a third: so many of them seldom leave three times their root.
  const Affine to{std::sqrt(static_cast<double>(w.in_channels * w.kernel * w.kernel)) / (w.relu ? 255 : 127), w.relu ? 0 : 128};
  const QuantizedConv quantized(whole, scale, bias, w.stride, at::kFloat);
  const auto ours = [=] {
    if (!w.residual) return quantized.forward(x, w.relu, to);
    return quantized.forward_add_relu_over(x, as_quantized(bytes_of(residual).clone(), affine_of(residual)), to);
  };
  const at::Tensor numbers = at::div(whole.to(at::kFloat), 127);
  return of_bytes(
      ours,
      [=] {
        const at::Tensor sum = at::conv2d(at::dequantize(x), numbers, bias, w.stride, w.kernel / 2);
        const at::Tensor y = w.residual ? at::add(sum, at::dequantize(residual)) : sum;
        return w.relu ? at::relu(y) : y;
      },
      to);
}

}  // namespace

Operator make_operator(const Work& work, at::ScalarType dtype, at::Device device, bool int8) {
  constexpr int64_t kMost = 1 << 16;
  for (const int64_t side : {work.n, work.in_channels, work.out_channels, work.height, work.width}) {
    require(side >= 1 && side <= kMost, ErrorCode::Option, "an operator's sides must be 1 to 65536");
  }
  require(work.kernel >= 1 && work.kernel <= 15 && work.kernel % 2 == 1 && work.stride >= 1, ErrorCode::Option,
          "a kernel must be odd and at most 15, a stride at least 1");
  require(work.bytes >= 1 && work.bytes <= 1e12, ErrorCode::Option, "an operator's bytes must be 1 to 1e12");
  if (work.op == "conv") return int8 ? int8_conv(work) : conv(work, dtype, device);
  if (work.op == "pool_pair") return int8 ? int8_pool_pair(work) : pool_pair(work, dtype, device);
  if (work.op == "upsample_add") return int8 ? int8_upsample_add(work) : upsample_add(work, dtype, device);
  throw Error(ErrorCode::Option, "there is no operator '" + work.op + "': conv, pool_pair and upsample_add are measured");
}

}  // namespace cornernet::bench
