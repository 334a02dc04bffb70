// Corner pooling on a CUDA device: launchers on raw device pointers, dense and of one layout. `stream` is a cudaStream_t.
#pragma once
#include "ops/cuda/launch_status.h"
#include "ops/scalar_type.h"
#include "ops/scan_view.h"

namespace cornernet::cuda {

/// No dimension of a view may be 0.
LaunchStatus corner_pool(const void* x, void* y, Scalar scalar, const ScanView& view, void* stream);

/// y = addend + pooled x; `addend` may be `y`.
LaunchStatus corner_pool_add(const void* x, const void* addend, void* y, Scalar scalar, const ScanView& view, void* stream);

LaunchStatus corner_pool_backward(const void* grad_y, const void* x, void* grad_x, Scalar scalar, const ScanView& view, void* stream);

/// y = (a pooled along rows, downwards or upwards) + (b pooled along columns). One kernel where the planes fill the card, else one for each pooling,
/// the second adding to what the first wrote: a maximum is exact in every type, so the sums are the same.
LaunchStatus corner_pool_pair(const void* a, const void* b, void* y, Scalar scalar, const PairView& view, void* stream);

}  // namespace cornernet::cuda
