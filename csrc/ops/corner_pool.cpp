#include "ops/corner_pool.h"

#include <ATen/ops/empty_like.h>

#include <string>

#include "ops/cpu/kernels.h"
#include "ops/supported.h"
#include "runtime/error.h"

#ifdef CORNERNET_CUDA
#include "ops/cuda/kernels.h"
#include "ops/cuda/stream.h"
#endif

namespace cornernet {
namespace {

bool vertical(Direction direction) { return direction == Direction::Top || direction == Direction::Bottom; }
bool backwards(Direction direction) { return direction == Direction::Top || direction == Direction::Left; }

void require(bool holds, const std::string& sentence) {
  if (!holds) throw Error(ErrorCode::Input, "corner pooling: " + sentence);
}

void check(const at::Tensor& x) {
  check_supported(x, "corner pooling");
  require(x.dim() == 4, "the input must have four dimensions [N, C, H, W]");
}

void check_pair(const at::Tensor& a, const at::Tensor& b) {
  check(a);
  check(b);
  require(a.sizes() == b.sizes() && a.scalar_type() == b.scalar_type() && a.device() == b.device(),
          "both inputs must agree in shape, dtype and device");
}

bool channels_last(const at::Tensor& x) { return x.is_contiguous(at::MemoryFormat::ChannelsLast) && !x.is_contiguous(); }

at::MemoryFormat format_of(const at::Tensor& x) { return channels_last(x) ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous; }

ScanView scan_view(const at::Tensor& x, Direction direction) {
  const int64_t n = x.size(0), c = x.size(1), h = x.size(2), w = x.size(3);
  const bool reverse = backwards(direction);
  if (channels_last(x)) return vertical(direction) ? ScanView{n, h, w * c, reverse} : ScanView{n * h, w, c, reverse};
  return vertical(direction) ? ScanView{n * c, h, w, reverse} : ScanView{n * c * h, w, 1, reverse};
}

}  // namespace

at::Tensor corner_pool(const at::Tensor& input, Direction direction) {
  check(input);
  const at::Tensor x = input.contiguous(format_of(input));
  at::Tensor y = at::empty_like(x);
  if (x.numel() == 0) return y;
#ifdef CORNERNET_CUDA
  if (x.is_cuda()) {
    cuda::launch(x, [&](void* stream) {
      return cuda::corner_pool(x.const_data_ptr(), y.mutable_data_ptr(), cuda::scalar_of(x), scan_view(x, direction), stream);
    });
    return y;
  }
#endif
  cpu::corner_pool(x, scan_view(x, direction), y);
  return y;
}

at::Tensor corner_pool_backward(const at::Tensor& grad_output, const at::Tensor& input, Direction direction) {
  check_pair(grad_output, input);
  const at::Tensor x = input.contiguous(format_of(input));
  const at::Tensor grad_y = grad_output.contiguous(format_of(x));
  at::Tensor grad_x = at::empty_like(x);
  if (x.numel() == 0) return grad_x;
#ifdef CORNERNET_CUDA
  if (x.is_cuda()) {
    cuda::launch(x, [&](void* stream) {
      return cuda::corner_pool_backward(grad_y.const_data_ptr(), x.const_data_ptr(), grad_x.mutable_data_ptr(), cuda::scalar_of(x),
                                        scan_view(x, direction), stream);
    });
    return grad_x;
  }
#endif
  cpu::corner_pool_backward(grad_y, x, scan_view(x, direction), grad_x);
  return grad_x;
}

at::Tensor corner_pool_pair(const at::Tensor& first, Direction direction_a, const at::Tensor& second, Direction direction_b) {
  check_pair(first, second);
  require(vertical(direction_a) != vertical(direction_b), "a pair needs one vertical and one horizontal direction");
  const at::Tensor& down = vertical(direction_a) ? first : second;
  const at::Tensor& across = vertical(direction_a) ? second : first;
  const at::Tensor a = down.contiguous(format_of(first)), b = across.contiguous(format_of(first));
  at::Tensor y = at::empty_like(a);
  if (a.numel() == 0) return y;
  const int64_t n = a.size(0), c = a.size(1), h = a.size(2), w = a.size(3);
  const bool reverse_rows = backwards(vertical(direction_a) ? direction_a : direction_b);
  const bool reverse_columns = backwards(vertical(direction_a) ? direction_b : direction_a);
  const PairView view =
      channels_last(a) ? PairView{n, h, w, c, reverse_rows, reverse_columns} : PairView{n * c, h, w, 1, reverse_rows, reverse_columns};
#ifdef CORNERNET_CUDA
  if (a.is_cuda()) {
    cuda::launch(a, [&](void* stream) {
      return cuda::corner_pool_pair(a.const_data_ptr(), b.const_data_ptr(), y.mutable_data_ptr(), cuda::scalar_of(a), view, stream);
    });
    return y;
  }
#endif
  cpu::corner_pool_pair(a, b, view, y);
  return y;
}

}  // namespace cornernet
