#include "ops/upsample_add.h"

#include <ATen/ops/empty_like.h>

#include <string>

#include "ops/dispatch.h"
#include "runtime/error.h"

namespace cornernet {
namespace {

void require(bool holds, const char* sentence) {
  if (!holds) throw Error(ErrorCode::Input, std::string("upsampling: ") + sentence);
}

}  // namespace

at::Tensor upsample_nearest_add(const at::Tensor& low_input, const at::Tensor& skip_input) {
  check_supported(low_input, "upsampling");
  check_supported(skip_input, "upsampling");
  require(low_input.dim() == 4 && skip_input.dim() == 4, "both maps must have four dimensions [N, C, H, W]");
  require(low_input.size(0) == skip_input.size(0) && low_input.size(1) == skip_input.size(1), "both maps must agree in batch and channels");
  require(low_input.scalar_type() == skip_input.scalar_type() && low_input.device() == skip_input.device(),
          "both maps must agree in dtype and device");
  require(low_input.numel() > 0 || skip_input.numel() == 0, "the smaller map is empty");
  const at::MemoryFormat format = format_of(skip_input);
  const at::Tensor low = low_input.contiguous(format), skip = skip_input.contiguous(format);
  at::Tensor y = at::empty_like(skip);
  const bool last = channels_last(skip);
  const int64_t n = skip.size(0), c = skip.size(1);
  const UpsampleView view{last ? n : n * c, low.size(2), low.size(3), skip.size(2), skip.size(3), last ? c : 1};
  return run_where(
      y,
      [&](auto scalar, void* stream) {
        return cuda::upsample_add(low.const_data_ptr(), skip.const_data_ptr(), y.mutable_data_ptr(), scalar, view, stream);
      },
      [&] { cpu::upsample_add(low, skip, view, y); });
}

}  // namespace cornernet
