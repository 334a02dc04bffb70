// The kernels of corner decoding and their launcher.
#include "ops/cuda/context.cuh"
#include "ops/cuda/corner_decode_body.cuh"
#include "ops/cuda/corner_decode_kernel.h"
#include "ops/cuda/launch.cuh"

namespace cornernet::cuda {

template <Scalar kScalar>
__global__ void __launch_bounds__(kDecodeThreads) best_of_tile_kernel(DecodeJob job, uint64_t* tile_keys) {
  DeviceContext context;
  best_of_tile<kScalar>(context, job, tile_keys);
}

// A template like the others, so that NVRTC and nvcc instantiate all three the same way.
template <Scalar kScalar>
__global__ void __launch_bounds__(kDecodeThreads) best_of_map_kernel(DecodeJob job, const uint64_t* tile_keys, uint64_t* map_keys) {
  DeviceContext context;
  best_of_map(context, job, tile_keys, map_keys);
}

template <Scalar kScalar>
__global__ void __launch_bounds__(kDecodeThreads) best_boxes_kernel(DecodeJob job, const uint64_t* map_keys, Candidate* candidates, int* counts) {
  DeviceContext context;
  best_boxes<kScalar>(context, job, map_keys, candidates, counts);
}

#ifdef __CUDACC_RTC__  // which compiles only what is instantiated
template __global__ void best_of_tile_kernel<Scalar::Float32>(DecodeJob, uint64_t*);
template __global__ void best_of_tile_kernel<Scalar::Float16>(DecodeJob, uint64_t*);
template __global__ void best_of_tile_kernel<Scalar::BFloat16>(DecodeJob, uint64_t*);
template __global__ void best_of_map_kernel<Scalar::Float32>(DecodeJob, const uint64_t*, uint64_t*);
template __global__ void best_boxes_kernel<Scalar::Float32>(DecodeJob, const uint64_t*, Candidate*, int*);
template __global__ void best_boxes_kernel<Scalar::Float16>(DecodeJob, const uint64_t*, Candidate*, int*);
template __global__ void best_boxes_kernel<Scalar::BFloat16>(DecodeJob, const uint64_t*, Candidate*, int*);
#else
LaunchStatus decode_corners(const DecodeJob& job, Scalar scalar, uint64_t* scratch, Candidate* candidates, int* counts, void* stream) {
  return with_scalar(scalar, [&](auto tag) -> LaunchStatus {
    constexpr Scalar kScalar = decltype(tag)::kScalar;
    auto* const on = static_cast<cudaStream_t>(stream);
    const auto maps = static_cast<unsigned>(2 * job.views), tiles = static_cast<unsigned>(job.tiles());
    constexpr size_t kKeysBytes = kTile * sizeof(uint64_t);
    uint64_t* const map_keys = scratch + int64_t{1} * maps * tiles * job.topk;
    best_of_tile_kernel<kScalar><<<maps * tiles, kDecodeThreads, kKeysBytes, on>>>(job, scratch);
    if (const LaunchStatus status = launched(); status.code != 0) return status;
    best_of_map_kernel<Scalar::Float32><<<maps, kDecodeThreads, kKeysBytes, on>>>(job, scratch, map_keys);
    if (const LaunchStatus status = launched(); status.code != 0) return status;
    best_boxes_kernel<kScalar><<<static_cast<unsigned>(job.views), kDecodeThreads, kBoxesSharedBytes, on>>>(job, map_keys, candidates, counts);
    return launched();
  });
}
#endif

}  // namespace cornernet::cuda
