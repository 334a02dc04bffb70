// The launchers of the CUDA kernels: raw device pointers, dense and of one layout and element type, and a stream (a cudaStream_t).
#pragma once
#include "ops/cuda/corner_decode_job.h"
#include "ops/cuda/portable.h"
#include "ops/image_job.h"
#include "ops/scan_view.h"
#include "ops/upsample_view.h"

namespace cornernet::cuda {

/// cudaError_t's value (0 is success) and CUDA's own sentence for it, which lives as long as the process.
struct LaunchStatus {
  int code = 0;
  const char* sentence = "";
};

// No dimension of a view may be 0.
LaunchStatus corner_pool(const void* x, void* y, Scalar scalar, const ScanView& view, void* stream);
/// y = addend + pooled x; `addend` may be `y`.
LaunchStatus corner_pool_add(const void* x, const void* addend, void* y, Scalar scalar, const ScanView& view, void* stream);
LaunchStatus corner_pool_backward(const void* grad_y, const void* x, void* grad_x, Scalar scalar, const ScanView& view, void* stream);
/// y = (a pooled along rows, downwards or upwards) + (b pooled along columns). One kernel where the planes fill the card, else one for each pooling,
/// the second adding to what the first wrote: a maximum is exact in every type, so the sums are the same.
LaunchStatus corner_pool_pair(const void* a, const void* b, void* y, Scalar scalar, const PairView& view, void* stream);

/// y = skip + nearest(low, size of skip).
LaunchStatus upsample_add(const void* low, const void* skip, void* y, Scalar scalar, const UpsampleView& view, void* stream);

/// The pointers within the jobs are the device's too.
LaunchStatus make_input(const PictureJob* pictures, const LevelTable* table, const InputView& view, void* input, Scalar scalar, void* stream);

/// The blocks that suit the current device.
int collecting_blocks(const DecodeJob& job);
/// candidates: [views, max_candidates]; counts: [views], -1 for maps that are not finite; scratch: scratch_keys(job).
LaunchStatus decode_corners(const DecodeJob& job, Scalar scalar, uint64_t* scratch, Candidate* candidates, int* counts, void* stream);

}  // namespace cornernet::cuda
