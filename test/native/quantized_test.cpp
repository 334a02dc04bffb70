// Every operator of an int8 network against a naive twin in whole numbers.
#include "ops/quantized.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "engine/device.h"
#include "op_cases.h"
#include "ops/corner_pool.h"
#include "ops/cpu/widest_vectors.h"
#include "ops/quantized_conv.h"
#include "ops/upsample_add.h"
#include "ops/upsample_view.h"
#include "runtime/error.h"
#include "test.h"

using namespace cornernet;
using namespace cornernet::testing;

namespace {

constexpr at::MemoryFormat kFormats[] = {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast};

template <typename T>
at::Tensor draw_whole(at::IntArrayRef shape, int least, int most, unsigned seed) {
  std::mt19937 random(seed);
  at::Tensor x = at::empty(shape, c10::CppTypeToScalarType<T>::value);
  for (int64_t i = 0; i < x.numel(); ++i)
    x.data_ptr<T>()[i] = static_cast<T>(least + static_cast<int>(random() % static_cast<unsigned>(most - least + 1)));
  return x;
}

at::Tensor draw_bytes(at::IntArrayRef shape, unsigned seed, at::MemoryFormat format = at::MemoryFormat::ChannelsLast) {
  return draw_whole<uint8_t>(shape, 0, 255, seed).contiguous(format);
}

/// To the nearest whole number, ties to even, within a byte: of a sum that is exact in double.
int rounded_byte(double value) { return static_cast<int>(std::clamp(std::nearbyint(value), 0.0, 255.0)); }

/// Runs `body` at each width of vectors that this CPU has.
template <typename Body>
void at_every_width(const Body& body) {
  const cpu::VectorLevel best = cpu::vector_level();
  for (const auto level : {cpu::VectorLevel::Portable, cpu::VectorLevel::Avx2, cpu::VectorLevel::Avx512}) {
    if (level > best) break;
    const Meanwhile narrower(cpu::vector_level(), level);
    body();
  }
}

/// The kernels' own arithmetic: two products in fp32 and their sum, each rounded once, and a rounding to a byte. Nothing is fused.
int sum_twin(int a, double scale_a, int b, double scale_b, double scale) {
  const float product_a = static_cast<float>(a) * static_cast<float>(scale_a / scale),
              product_b = static_cast<float>(b) * static_cast<float>(scale_b / scale);
  volatile float sum = product_a + product_b;
  return rounded_byte(sum);
}

int at4(const at::Tensor& x, int64_t n, int64_t c, int64_t h, int64_t w) {
  return x.data_ptr<uint8_t>()[n * x.stride(0) + c * x.stride(1) + h * x.stride(2) + w * x.stride(3)];
}

const Registration rounding("quantized: to bytes and back, ties to even, clamped, NaN is 0", [] {
  const c10::InferenceMode inference;
  at_every_width([] {
    for (const int64_t zero : {0, 128}) {
      const Affine affine{0.5, zero};
      at::Tensor x = make_values({2, 3, 7, 13}, Content::Nan, 3).mul(40);
      x.data_ptr<float>()[0] = 0.25f, x.data_ptr<float>()[1] = 0.75f, x.data_ptr<float>()[2] = 1e30f, x.data_ptr<float>()[3] = -1e30f;
      for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
        const at::Tensor from = x.to(type), map = quantize(from, affine), bytes = bytes_of(map), exact = from.to(at::kFloat);
        const at::Tensor back = dequantize(map, type);
        for (int64_t i = 0; i < x.numel(); ++i) {
          const float value = exact.data_ptr<float>()[i];
          const int expected = std::isnan(value) ? 0 : rounded_byte(static_cast<double>(value) * 2 + static_cast<double>(zero));
          check(bytes.data_ptr<uint8_t>()[i] == expected, value, " in ", type, " became byte ", int{bytes.data_ptr<uint8_t>()[i]}, ", not ",
                expected);
        }
        check_same(back, bytes.to(at::kFloat).sub(static_cast<double>(zero)).mul(0.5).to(type), "back");
      }
    }
  });
});

const Registration weights("quantized: weights are rounded to whole multiples of their output's scale", [] {
  const at::Tensor weight = make_values({5, 7, 3, 3}, Content::Random, 4), scale = draw_whole<int>({5}, 1, 9, 5).to(at::kFloat).mul(0.01f);
  const at::Tensor rounded = quantize_weight(weight, scale);
  for (int64_t o = 0; o < 5; ++o) {
    for (int64_t i = 0; i < 63; ++i) {
      const float quotient = weight.data_ptr<float>()[o * 63 + i] / scale.data_ptr<float>()[o];
      const int expected = static_cast<int>(std::clamp(std::nearbyint(static_cast<double>(quotient)), -127.0, 127.0));
      check(rounded.data_ptr<int8_t>()[o * 63 + i] == expected, "weight ", o, ",", i);
    }
  }
});

const Registration sums("quantized: upsampling with a sum equals the twin, exactly", [] {
  const c10::InferenceMode inference;
  at_every_width([] {
    for (const at::MemoryFormat format : kFormats) {
      for (const auto& [low_side, side] : std::vector<std::pair<int64_t, int64_t>>{{4, 8}, {4, 7}, {1, 1}, {3, 41}}) {
        for (const int64_t channels : {1, 3, 72}) {
          const at::Tensor low = draw_bytes({2, channels, low_side, low_side + 1}, 6, format),
                           skip = draw_bytes({2, channels, side, 2 * low_side + 1}, 7, format);
          const Affine of_low{0.013, 0}, of_skip{0.021, 0}, sum{0.03, 0};
          const at::Tensor y = bytes_of(upsample_nearest_add(as_quantized(low, of_low), as_quantized(skip, of_skip), sum));
          const float rows = nearest_scale(low_side, side), columns = nearest_scale(low_side + 1, 2 * low_side + 1);
          for (int64_t i = 0; i < y.numel(); ++i) {
            const int64_t w = i % y.size(3), h = i / y.size(3) % y.size(2), c = i / y.size(3) / y.size(2) % channels, n = i / (y.numel() / 2);
            const int from = at4(low, n, c, nearest_source(h, rows, low_side), nearest_source(w, columns, low_side + 1));
            const int expected = sum_twin(at4(skip, n, c, h, w), of_skip.scale, from, of_low.scale, sum.scale);
            check(at4(y, n, c, h, w) == expected, "at ", n, ",", c, ",", h, ",", w, ": ", at4(y, n, c, h, w), " instead of ", expected);
          }
        }
      }
    }
  });
});

/// Of the row or the column, from its beginning in scan order.
int pooled(const at::Tensor& x, Direction direction, int64_t n, int64_t c, int64_t h, int64_t w) {
  int most = 0;
  for (int64_t i = 0; i < x.size(2); ++i) {
    if (direction == Direction::Top ? i >= h : direction == Direction::Bottom && i <= h) most = std::max(most, at4(x, n, c, i, w));
  }
  for (int64_t i = 0; i < x.size(3); ++i) {
    if (direction == Direction::Left ? i >= w : direction == Direction::Right && i <= w) most = std::max(most, at4(x, n, c, h, i));
  }
  return most;
}

const Registration pools("quantized: corner pooling of a pair equals the twin, exactly, by strips and by pictures", [] {
  const c10::InferenceMode inference;
  at_every_width([] {
    for (const int64_t batch : {1, 3}) {
      const Threads threads(2);
      for (const at::MemoryFormat format : kFormats) {
        for (const auto& [first, second] : {std::pair{Direction::Top, Direction::Left}, {Direction::Bottom, Direction::Right}}) {
          const at::Tensor a = draw_bytes({batch, 40, 9, 11}, 8, format), b = draw_bytes({batch, 40, 9, 11}, 9, format);
          const Affine of_a{0.017, 0}, of_b{0.009, 0}, sum{0.02, 0};
          const at::Tensor y = bytes_of(corner_pool_pair(as_quantized(a, of_a), first, as_quantized(b, of_b), second, sum));
          for (int64_t i = 0; i < y.numel(); ++i) {
            const int64_t w = i % 11, h = i / 11 % 9, c = i / 99 % 40, n = i / 99 / 40;
            const int expected = sum_twin(pooled(a, first, n, c, h, w), of_a.scale, pooled(b, second, n, c, h, w), of_b.scale, sum.scale);
            check(at4(y, n, c, h, w) == expected, "at ", n, ",", c, ",", h, ",", w, ": ", at4(y, n, c, h, w), " instead of ", expected);
          }
        }
      }
    }
  });
});

struct Shape {
  int64_t batch, in, out, height, width, kernel, stride;
};
// The network's kinds: 3x3, strided, 1x1 and strided, 7x7, and channels that no vector divides.
const std::vector<Shape> kShapes{{1, 64, 64, 9, 7, 3, 1},  {2, 32, 48, 9, 10, 3, 2}, {1, 64, 16, 5, 6, 1, 1}, {1, 32, 64, 9, 9, 1, 2},
                                 {1, 3, 16, 21, 19, 7, 2}, {1, 17, 5, 6, 5, 3, 1},   {3, 24, 1, 4, 4, 1, 1},  {1, 256, 256, 4, 4, 3, 1}};

/// The convolution's sums in whole numbers: [N, out, H, W].
std::vector<int64_t> whole_sums(const at::Tensor& x, const at::Tensor& weight, int64_t stride, int64_t height, int64_t width) {
  const int64_t k = weight.size(2);
  std::vector<int64_t> sums;
  for (int64_t n = 0; n < x.size(0); ++n) {
    for (int64_t o = 0; o < weight.size(0); ++o) {
      for (int64_t h = 0; h < height; ++h) {
        for (int64_t w = 0; w < width; ++w) {
          int64_t sum = 0;
          for (int64_t c = 0; c < x.size(1); ++c) {
            for (int64_t dy = 0; dy < k; ++dy) {
              for (int64_t dx = 0; dx < k; ++dx) {
                const int64_t row = h * stride + dy - k / 2, column = w * stride + dx - k / 2;
                if (row < 0 || column < 0 || row >= x.size(2) || column >= x.size(3)) continue;
                sum += at4(x, n, c, row, column) * weight.data_ptr<int8_t>()[((o * x.size(1) + c) * k + dy) * k + dx];
              }
            }
          }
          sums.push_back(sum);
        }
      }
    }
  }
  return sums;
}

enum class Residual { None, Bytes, MiddleBytes, Wide };

/// With scales that are powers of two and biases of few bits fp32 computes all of it without rounding, in whatever order: nothing is left to
/// tolerate. 7x7x3 and 3x3x256 products of at most 255 * 127 stay below 2^24 * 8 only in int32; the scales bring what is compared back to a byte.
void check_conv(const Shape& s, bool relu, bool to_bytes, Residual kind, at::ScalarType wide) {
  const int64_t height = (s.height + 2 * (s.kernel / 2) - s.kernel) / s.stride + 1, width = (s.width + 2 * (s.kernel / 2) - s.kernel) / s.stride + 1;
  const int most = s.kernel * s.kernel * s.in > 300 ? 15 : 127;  // sums below 2^24, which fp32 holds
  const at::Tensor x = draw_bytes({s.batch, s.in, s.height, s.width}, 10);
  const at::Tensor weight = draw_whole<int8_t>({s.out, s.in, s.kernel, s.kernel}, -most, most, 11);
  const at::Tensor scale = at::empty({s.out}, at::kFloat), bias = at::empty({s.out}, at::kFloat);
  for (int64_t o = 0; o < s.out; ++o) {
    scale.data_ptr<float>()[o] = std::ldexp(1.f, -6 - static_cast<int>(o % 3));
    bias.data_ptr<float>()[o] = 0.5f * static_cast<float>(o % 9 - 4);
  }
  const double from = 0.25, added = 0.5;
  const std::optional<Affine> to = to_bytes ? std::optional(Affine{8, relu || kind != Residual::None ? 0 : 128}) : std::nullopt;
  const int64_t middle = kind == Residual::MiddleBytes ? 128 : 0;
  at::Tensor residual_bytes = draw_bytes({s.batch, s.out, height, width}, 12), residual = residual_bytes.clone();
  residual = kind == Residual::Wide ? residual_bytes.to(wide).mul(added) : as_quantized(residual, {added, middle});
  const QuantizedConv conv(weight, scale, bias, s.stride, wide);
  const at::Tensor map = as_quantized(x, {from, 0});
  const at::Tensor y = kind == Residual::None ? conv.forward(map, relu, to) : conv.forward_add_relu_over(map, residual, to);
  check(y.sizes() == at::IntArrayRef({s.batch, s.out, height, width}) && y.is_contiguous(at::MemoryFormat::ChannelsLast), "another shape or layout");
  check(to ? y.is_quantized() : y.scalar_type() == wide, "another type");
  const std::vector<int64_t> sums = whole_sums(x, weight, s.stride, height, width);
  const at::Tensor got = (to ? bytes_of(y).to(at::kDouble) : y.to(at::kDouble)).contiguous();
  for (int64_t i = 0; i < got.numel(); ++i) {
    const int64_t w = i % width, h = i / width % height, o = i / width / height % s.out, n = i / width / height / s.out;
    double value = static_cast<double>(sums[static_cast<size_t>(i)]) * from * static_cast<double>(scale.data_ptr<float>()[o]) +
                   static_cast<double>(bias.data_ptr<float>()[o]);
    if (kind != Residual::None) value += added * static_cast<double>(at4(residual_bytes, n, o, h, w) - middle);
    if (relu || kind != Residual::None) value = std::max(value, 0.0);
    double expected = value;
    if (to) {
      expected = rounded_byte(value / to->scale + static_cast<double>(to->zero_point));
    } else if (wide == at::kBFloat16) {
      expected = static_cast<double>(static_cast<float>(c10::BFloat16(static_cast<float>(value))));
    }
    check(got.data_ptr<double>()[i] == expected, "kernel ", s.kernel, " stride ", s.stride, " of ", s.in, " channels, element ", i, ": ",
          got.data_ptr<double>()[i], " instead of ", expected);
  }
}

const Registration convs("quantized: convolutions equal the twin in whole numbers, exactly", [] {
  skip_without_int8();
  const c10::InferenceMode inference;
  for (const Shape& s : kShapes) {
    for (const bool relu : {true, false}) {
      check_conv(s, relu, true, Residual::None, at::kFloat);
      check_conv(s, relu, false, Residual::None, at::kFloat);
      check_conv(s, relu, false, Residual::None, at::kBFloat16);
    }
  }
});

const Registration residuals("quantized: convolutions with a residual of bytes, with a zero point or without, or of wide numbers, equal the twin",
                             [] {
                               skip_without_int8();
                               const c10::InferenceMode inference;
                               for (const Shape& s : kShapes) {
                                 check_conv(s, true, true, Residual::Bytes, at::kFloat);
                                 check_conv(s, true, true, Residual::MiddleBytes, at::kFloat);
                                 check_conv(s, true, false, Residual::Wide, at::kFloat);
                                 check_conv(s, true, false, Residual::Wide, at::kBFloat16);
                               }
                             });

const Registration refusals("quantized: wrong input is refused with a code", [] {
  const at::Tensor x = make_values({1, 2, 3, 4}, Content::Random, 1), map = quantize(x, {0.1, 0}), middle = quantize(x, {0.1, 128});
  const auto refuses = [](const char* part, auto call) { check(contains(refused(ErrorCode::Input, call), part), part); };
  refuses("uint8", [&] { as_quantized(x, {1, 0}); });
  refuses("this is none", [&] { bytes_of(x); });
  refuses("fp32 and bf16", [&] { quantize(x.to(at::kDouble), {1, 0}); });
  refuses("fp32 and bf16", [&] { dequantize(map, at::kDouble); });
  refuses("one scale for each output", [&] { quantize_weight(x, x.flatten()); });
  refuses("zero point", [&] { upsample_nearest_add(map, middle, {1, 0}); });
  refuses("zero point", [&] { corner_pool_pair(middle, Direction::Top, map, Direction::Left, {1, 0}); });
  refuses("a vertical direction", [&] { corner_pool_pair(map, Direction::Top, map, Direction::Bottom, {1, 0}); });
  refuses("smaller map is empty", [&] { upsample_nearest_add(as_quantized(bytes_of(map).slice(2, 0, 0), {1, 0}), map, {1, 0}); });
});

}  // namespace
