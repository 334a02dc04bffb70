// The kernels of corner decoding and their launcher.
#include "ops/cuda/corner_decode_body.cuh"
#include "ops/cuda/launch.cuh"

namespace cornernet::cuda {

template <Scalar kScalar>
__global__ void __launch_bounds__(kDecodeThreads) best_of_tile_kernel(DecodeJob job, uint64_t* tile_keys) {
  DeviceContext context;
  best_of_tile<kScalar>(context, job, tile_keys);
}

__global__ void __launch_bounds__(kDecodeThreads) best_of_map_kernel(DecodeJob job, const uint64_t* tile_keys, uint64_t* map_keys) {
  DeviceContext context;
  best_of_map(context, job, tile_keys, map_keys);
}

template <Scalar kScalar>
__global__ void __launch_bounds__(kDecodeThreads) best_boxes_kernel(DecodeJob job, const uint64_t* map_keys, Candidate* candidates, int* counts) {
  DeviceContext context;
  best_boxes<kScalar>(context, job, map_keys, candidates, counts);
}

LaunchStatus decode_corners(const DecodeJob& job, Scalar scalar, uint64_t* scratch, Candidate* candidates, int* counts, void* stream) {
  return with_scalar(scalar, [&](auto tag) -> LaunchStatus {
    constexpr Scalar kScalar = decltype(tag)::kScalar;
    const int64_t maps = 2 * int64_t{job.views}, tiles = job.tiles();
    constexpr size_t kKeysBytes = kTile * sizeof(uint64_t);
    uint64_t* const map_keys = scratch + maps * tiles * job.topk;
    LaunchStatus status = start(best_of_tile_kernel<kScalar>, maps * tiles, kDecodeThreads, kKeysBytes, stream, job, scratch);
    if (status.code == 0) status = start(best_of_map_kernel, maps, kDecodeThreads, kKeysBytes, stream, job, scratch, map_keys);
    if (status.code != 0) return status;
    return start(best_boxes_kernel<kScalar>, job.views, kDecodeThreads, kBoxesSharedBytes, stream, job, map_keys, candidates, counts);
  });
}

}  // namespace cornernet::cuda
