#include "ops/upsample_add.h"

#include <ATen/ops/empty_like.h>

#include <string>

#include "ops/dispatch.h"
#include "runtime/error.h"

namespace cornernet {
namespace {

constexpr InputOf kUpsampling{"upsampling"};

void check_maps(const at::Tensor& low, const at::Tensor& skip) {
  kUpsampling.require(low.dim() == 4 && skip.dim() == 4, "both maps must have four dimensions [N, C, H, W]");
  kUpsampling.require(low.size(0) == skip.size(0) && low.size(1) == skip.size(1), "both maps must agree in batch and channels");
  kUpsampling.require(low.scalar_type() == skip.scalar_type() && low.device() == skip.device(), "both maps must agree in dtype and device");
  kUpsampling.require(low.numel() > 0 || skip.numel() == 0, "the smaller map is empty");
}

UpsampleView view_of(const at::Tensor& low, const at::Tensor& skip) {
  const bool last = channels_last(skip);
  const int64_t n = skip.size(0), c = skip.size(1);
  return {last ? n : n * c, low.size(2), low.size(3), skip.size(2), skip.size(3), last ? c : 1};
}

}  // namespace

at::Tensor upsample_nearest_add(const at::Tensor& low_input, const at::Tensor& skip_input) {
  check_supported(low_input, kUpsampling.name);
  check_supported(skip_input, kUpsampling.name);
  check_maps(low_input, skip_input);
  const at::MemoryFormat format = format_of(skip_input);
  const at::Tensor low = low_input.contiguous(format), skip = skip_input.contiguous(format);
  at::Tensor y = at::empty_like(skip);
  const UpsampleView view = view_of(low, skip);
  return run_where(
      y,
      [&](auto scalar, void* stream) {
        return cuda::upsample_add(low.const_data_ptr(), skip.const_data_ptr(), y.mutable_data_ptr(), scalar, view, stream);
      },
      [&] { cpu::upsample_add(low, skip, view, y); });
}

at::Tensor upsample_nearest_add(const at::Tensor& low_map, const at::Tensor& skip_map, const Affine& sum) {
  const at::Tensor low_bytes = bytes_of(low_map), skip_bytes = bytes_of(skip_map);
  check_maps(low_bytes, skip_bytes);
  kUpsampling.require(low_map.q_zero_point() == 0 && skip_map.q_zero_point() == 0 && sum.zero_point == 0, "maps of 8 bits must have no zero point");
  const at::MemoryFormat format = format_of(skip_bytes);
  const at::Tensor low = low_bytes.contiguous(format), skip = skip_bytes.contiguous(format);
  at::Tensor y = at::empty_like(skip);
  if (y.numel() > 0) cpu::upsample_add_bytes(low, factor_to(low_map, sum), skip, factor_to(skip_map, sum), view_of(low, skip), y);
  return as_quantized(y, sum);
}

}  // namespace cornernet
