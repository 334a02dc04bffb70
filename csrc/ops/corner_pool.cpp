#include "ops/corner_pool.h"

#include <ATen/ops/empty_like.h>

#include <string>

#include "ops/dispatch.h"
#include "runtime/error.h"

namespace cornernet {
namespace {

bool vertical(Direction direction) { return direction == Direction::Top || direction == Direction::Bottom; }
bool backwards(Direction direction) { return direction == Direction::Top || direction == Direction::Left; }

constexpr InputOf kPooling{"corner pooling"};

void check(const at::Tensor& x) {
  check_supported(x, kPooling.name);
  kPooling.require(x.dim() == 4, "the input must have four dimensions [N, C, H, W]");
}

void check_pair(const at::Tensor& a, const at::Tensor& b) {
  check(a);
  check(b);
  kPooling.require(a.sizes() == b.sizes() && a.scalar_type() == b.scalar_type() && a.device() == b.device(),
                   "both inputs must agree in shape, dtype and device");
}

PairView pair_view(const at::Tensor& x, bool reverse_rows, bool reverse_columns) {
  const int64_t n = x.size(0), c = x.size(1), h = x.size(2), w = x.size(3);
  if (channels_last(x)) return {n, h, w, c, reverse_rows, reverse_columns};
  return {n * c, h, w, 1, reverse_rows, reverse_columns};
}

ScanView scan_view(const at::Tensor& x, Direction direction) {
  const PairScans scans = scans_of(pair_view(x, backwards(direction), backwards(direction)));
  return vertical(direction) ? scans.vertical : scans.horizontal;
}

}  // namespace

at::Tensor corner_pool(const at::Tensor& input, Direction direction) {
  check(input);
  const at::Tensor x = input.contiguous(format_of(input));
  at::Tensor y = at::empty_like(x);
  const ScanView view = scan_view(x, direction);
  return run_where(
      y, [&](auto scalar, void* stream) { return cuda::corner_pool(x.const_data_ptr(), y.mutable_data_ptr(), scalar, view, stream); },
      [&] { cpu::corner_pool(x, view, y); });
}

at::Tensor corner_pool_backward(const at::Tensor& grad_output, const at::Tensor& input, Direction direction) {
  check_pair(grad_output, input);
  const at::Tensor x = input.contiguous(format_of(input));
  const at::Tensor grad_y = grad_output.contiguous(format_of(x));
  at::Tensor grad_x = at::empty_like(x);
  const ScanView view = scan_view(x, direction);
  return run_where(
      grad_x,
      [&](auto scalar, void* stream) {
        return cuda::corner_pool_backward(grad_y.const_data_ptr(), x.const_data_ptr(), grad_x.mutable_data_ptr(), scalar, view, stream);
      },
      [&] { cpu::corner_pool_backward(grad_y, x, view, grad_x); });
}

namespace {

/// Of one layout, the first one's.
struct Pair {
  at::Tensor a, b;
  PairView view;
};

Pair pair_of(const at::Tensor& a, Direction direction_a, const at::Tensor& b, Direction direction_b) {
  kPooling.require(vertical(direction_a) && !vertical(direction_b), "a pair needs a vertical direction and then a horizontal one");
  const at::Tensor like_a = a.contiguous(format_of(a));
  return {like_a, b.contiguous(format_of(a)), pair_view(like_a, backwards(direction_a), backwards(direction_b))};
}

}  // namespace

at::Tensor corner_pool_pair(const at::Tensor& first, Direction direction_a, const at::Tensor& second, Direction direction_b) {
  check_pair(first, second);
  const Pair pair = pair_of(first, direction_a, second, direction_b);
  at::Tensor y = at::empty_like(pair.a);
  return run_where(
      y,
      [&](auto scalar, void* stream) {
        return cuda::corner_pool_pair(pair.a.const_data_ptr(), pair.b.const_data_ptr(), y.mutable_data_ptr(), scalar, pair.view, stream);
      },
      [&] { cpu::corner_pool_pair(pair.a, pair.b, pair.view, y); });
}

at::Tensor corner_pool_pair(const at::Tensor& first, Direction direction_a, const at::Tensor& second, Direction direction_b, const Affine& sum) {
  const at::Tensor first_bytes = bytes_of(first), second_bytes = bytes_of(second);
  kPooling.require(first_bytes.dim() == 4 && first_bytes.sizes() == second_bytes.sizes(),
                   "both maps of 8 bits must have the same four dimensions [N, C, H, W]");
  kPooling.require(first.q_zero_point() == 0 && second.q_zero_point() == 0 && sum.zero_point == 0, "maps of 8 bits must have no zero point");
  const Pair pair = pair_of(first_bytes, direction_a, second_bytes, direction_b);
  at::Tensor y = at::empty_like(pair.a);
  if (y.numel() > 0) cpu::corner_pool_pair_bytes(pair.a, factor_to(first, sum), pair.b, factor_to(second, sum), pair.view, y);
  return as_quantized(y, sum);
}

}  // namespace cornernet
