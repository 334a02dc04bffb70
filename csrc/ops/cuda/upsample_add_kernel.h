// Nearest upsampling and addition on a CUDA device. `stream` is a cudaStream_t.
#pragma once
#include "ops/cuda/launch_status.h"
#include "ops/scalar_type.h"
#include "ops/upsample_view.h"

namespace cornernet::cuda {

/// y = skip + nearest(low, size of skip), on dense device data of one layout; no dimension of the view may be 0.
LaunchStatus upsample_add(const void* low, const void* skip, void* y, Scalar scalar, const UpsampleView& view, void* stream);

}  // namespace cornernet::cuda
