// Corner decoding on a CUDA device. `stream` is a cudaStream_t.
#pragma once
#include "ops/cuda/corner_decode_job.h"
#include "ops/cuda/launch_status.h"
#include "ops/scalar_type.h"

namespace cornernet::cuda {

/// uint64 keys that decode_corners needs as scratch on the device.
constexpr int64_t scratch_keys(const DecodeJob& job) { return 2 * int64_t{1} * job.views * job.topk * (job.tiles() + 1); }

/// candidates: [views, max_candidates]; counts: [views]; both on the device. All maps are of one element type; topk <= kMaxTopk,
/// max_candidates <= kMaxCandidates, elements() < 2^32.
LaunchStatus decode_corners(const DecodeJob& job, Scalar scalar, uint64_t* scratch, Candidate* candidates, int* counts, void* stream);

}  // namespace cornernet::cuda
