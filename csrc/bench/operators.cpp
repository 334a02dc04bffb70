#include "bench/operators.h"

#include <ATen/Context.h>
#include <ATen/ops/add.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/cummax.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/flip.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/upsample_nearest2d.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "bench/naive_pool.h"
#include "ops/conv.h"
#include "ops/corner_pool.h"
#include "ops/upsample_add.h"
#include "ops/upsample_view.h"
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

/// An element of an [N, C, H, W] tensor in fp64, wherever and however it lies.
class Reader {
 public:
  explicit Reader(const at::Tensor& x) : x_(x.cpu().to(at::kDouble).contiguous()), values_(x_.const_data_ptr<double>()) {}
  double at(int64_t n, int64_t c, int64_t y, int64_t x) const { return values_[((n * x_.size(1) + c) * x_.size(2) + y) * x_.size(3) + x]; }
  int64_t size(int64_t dim) const { return x_.size(dim); }

 private:
  at::Tensor x_;
  const double* values_;
};

/// 0 when equal element for element (the operators that only choose, and sums rounded once), infinite otherwise.
double exact(const at::Tensor& got, const at::Tensor& expected) {
  const Reader a(got), b(expected);
  for (int64_t n = 0; n < a.size(0); ++n)
    for (int64_t c = 0; c < a.size(1); ++c)
      for (int64_t y = 0; y < a.size(2); ++y)
        for (int64_t x = 0; x < a.size(3); ++x)
          if (a.at(n, c, y, x) != b.at(n, c, y, x)) return std::numeric_limits<double>::infinity();
  return 0;
}

/// Every sixteenth channel: the naive twin takes quadratic time.
at::Tensor sample(const at::Tensor& x) { return x.slice(1, 0, x.size(1), 16); }

/// Scans from the last element to the first.
at::Tensor cummax_backwards(const at::Tensor& x, int64_t axis) { return at::flip(std::get<0>(at::cummax(at::flip(x, {axis}), axis)), {axis}); }

Operator pool_pair(const Work& w, at::ScalarType dtype, at::Device device) {
  const at::Tensor a = drawn({w.n, w.in_channels, w.height, w.width}, dtype, device, 1), b = drawn(a.sizes(), dtype, device, 2);
  return {[=] { return corner_pool_pair(a, Direction::Top, b, Direction::Left); },
          [=] { return at::add(cummax_backwards(a, 2), cummax_backwards(b, 3)); },
          [=](const at::Tensor& y) { return exact(sample(y), naive::naive_pair(sample(a), Direction::Top, sample(b), Direction::Left)); }};
}

/// skip + the pixel of `low` that each pixel repeats, summed in fp32 and rounded once.
at::Tensor naive_upsample_add(const at::Tensor& low, const at::Tensor& skip) {
  const Reader from(low), to(skip);
  at::Tensor sum = at::empty(skip.sizes(), at::kFloat);
  float* out = sum.data_ptr<float>();
  const float scale_y = nearest_scale(from.size(2), to.size(2)), scale_x = nearest_scale(from.size(3), to.size(3));
  for (int64_t n = 0; n < to.size(0); ++n)
    for (int64_t c = 0; c < to.size(1); ++c)
      for (int64_t y = 0; y < to.size(2); ++y)
        for (int64_t x = 0; x < to.size(3); ++x)
          *out++ = static_cast<float>(to.at(n, c, y, x)) +
                   static_cast<float>(from.at(n, c, nearest_source(y, scale_y, from.size(2)), nearest_source(x, scale_x, from.size(3))));
  return sum.to(skip.scalar_type());
}

Operator upsample_add(const Work& w, at::ScalarType dtype, at::Device device) {
  const at::Tensor skip = drawn({w.n, w.in_channels, w.height, w.width}, dtype, device, 3);
  const at::Tensor low = drawn({w.n, w.in_channels, (w.height + 1) / 2, (w.width + 1) / 2}, dtype, device, 4);
  return {[=] { return upsample_nearest_add(low, skip); }, [=] { return at::add(skip, at::upsample_nearest2d(low, {skip.size(2), skip.size(3)})); },
          [=](const at::Tensor& y) { return exact(y, naive_upsample_add(low, skip)); }};
}

struct ConvTensors {
  at::Tensor x, weight, bias, residual;
};

/// What each product may be off by: fp32's sums, or TF32's rounding of both factors to 11 bits where torch's default lets cuDNN use it.
double allowed_of_a_product(const at::Tensor& result) {
  const bool tf32 = result.is_cuda() && result.scalar_type() == at::kFloat && at::globalContext().allowTF32CuDNN();
  return tf32 ? 1.0 / 1024 : 1e-5;
}

/// Some outputs, summed in fp64 by the definition. Allowed: rounding the result to its dtype once, and what the products may be off by.
double conv_error(const Work& w, const ConvTensors& t, const at::Tensor& result) {
  const double unit = result.scalar_type() == at::kFloat ? 0.0 : result.scalar_type() == at::kHalf ? 1.0 / 1024 : 1.0 / 128;
  const Reader x(t.x), weight(t.weight), bias(t.bias), y(result);
  const Reader residual(w.residual ? t.residual : t.bias);
  const double product_unit = allowed_of_a_product(result);
  std::mt19937 random(5);
  double largest = 0;
  for (int i = 0; i < 64; ++i) {
    const int64_t n = random() % y.size(0), c = random() % y.size(1), row = random() % y.size(2), column = random() % y.size(3);
    double sum = bias.at(0, c, 0, 0), size = std::abs(sum);
    for (int64_t in = 0; in < w.in_channels; ++in)
      for (int64_t ky = 0; ky < w.kernel; ++ky)
        for (int64_t kx = 0; kx < w.kernel; ++kx) {
          const int64_t from_y = row * w.stride + ky - w.kernel / 2, from_x = column * w.stride + kx - w.kernel / 2;
          if (from_y < 0 || from_x < 0 || from_y >= w.height || from_x >= w.width) continue;
          const double product = weight.at(c, in, ky, kx) * x.at(n, in, from_y, from_x);
          sum += product;
          size += std::abs(product);
        }
    if (w.residual) sum += residual.at(n, c, row, column);
    if (w.relu) sum = std::max(sum, 0.0);
    largest = std::max(largest, std::abs(y.at(n, c, row, column) - sum) / (unit * std::abs(sum) + product_unit * size + 1e-30));
  }
  return largest;
}

Operator conv(const Work& w, at::ScalarType dtype, at::Device device) {
  const auto side = [&](int64_t size) { return (size + 2 * (w.kernel / 2) - w.kernel) / w.stride + 1; };
  ConvTensors t;
  t.x = drawn({w.n, w.in_channels, w.height, w.width}, dtype, device, 6);
  t.weight = drawn({w.out_channels, w.in_channels, w.kernel, w.kernel}, dtype, device, 7);
  t.bias = drawn({1, w.out_channels, 1, 1}, dtype, device, 8);
  if (w.residual) t.residual = drawn({w.n, w.out_channels, side(w.height), side(w.width)}, dtype, device, 9);
  const at::Tensor bias = t.bias.reshape({w.out_channels});
  const PackedConv packed(t.weight.contiguous(), bias, w.stride, dtype, device);
  const int64_t padding = w.kernel / 2;
  return {[=] { return w.residual ? packed.forward_add_relu(t.x, t.residual) : packed.forward(t.x, w.relu); },
          [=] {
            at::Tensor y = at::conv2d(t.x, t.weight, bias, w.stride, padding);
            if (w.residual) y = at::add(y, t.residual);
            return w.relu ? at::relu(y) : y;
          },
          [=](const at::Tensor& y) { return conv_error(w, t, y); }};
}

void require(bool holds, const char* sentence) {
  if (!holds) throw Error(ErrorCode::Option, sentence);
}

}  // namespace

Operator make_operator(const Work& work, at::ScalarType dtype, at::Device device) {
  constexpr int64_t kMost = 1 << 16;
  for (const int64_t side : {work.n, work.in_channels, work.out_channels, work.height, work.width}) {
    require(side >= 1 && side <= kMost, "an operator's sides must be 1 to 65536");
  }
  require(work.kernel >= 1 && work.kernel <= 15 && work.kernel % 2 == 1 && work.stride >= 1,
          "a kernel must be odd and at most 15, a stride at least 1");
  require(work.bytes >= 1 && work.bytes <= 1e12, "an operator's bytes must be 1 to 1e12");
  if (work.op == "conv") return conv(work, dtype, device);
  if (work.op == "pool_pair") return pool_pair(work, dtype, device);
  if (work.op == "upsample_add") return upsample_add(work, dtype, device);
  throw Error(ErrorCode::Option, "there is no operator '" + work.op + "': conv, pool_pair and upsample_add are measured");
}

}  // namespace cornernet::bench
