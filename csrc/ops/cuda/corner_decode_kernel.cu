// The kernels of corner decoding and their launcher.
#include "ops/cuda/corner_decode_body.cuh"
#include "ops/cuda/launch.cuh"

namespace cornernet::cuda {

constexpr int kBlocksAMultiprocessor = 6;  // as many as a V100 holds

template <Scalar kScalar, int kLanes>
__global__ void __launch_bounds__(kCollectThreads, kBlocksAMultiprocessor) collect_peaks_kernel(DecodeJob job, DecodeScratch scratch) {
  DeviceContext context;
  collect_peaks<kScalar, kLanes>(context, job, scratch);
}

template <Scalar kScalar>
__global__ void __launch_bounds__(kBoxesThreads) best_boxes_kernel(DecodeJob job, DecodeScratch scratch, Candidate* candidates, int* counts) {
  DeviceContext context;
  best_boxes<kScalar>(context, job, scratch, candidates, counts);
}

int collecting_blocks(const DecodeJob& job) { return collecting_blocks(job, kBlocksAMultiprocessor * multiprocessors()); }

namespace {

/// Whether the heatmaps are made of aligned packs of neighbouring channels.
template <int kLanes, typename Raw>
bool in_packs(const DecodeJob& job) {
  bool whole = job.channels_last && job.classes % kLanes == 0;
  for (const StridedMaps& side : job.side) {
    const StridedMap& heat = side.heat;
    whole = whole && heat.channel_stride == 1 && heat.cell_stride % kLanes == 0 && heat.view_stride % kLanes == 0 &&
            aligned_to(heat.data, kLanes * sizeof(Raw));
  }
  return whole;
}

}  // namespace

LaunchStatus decode_corners(const DecodeJob& job, Scalar scalar, uint64_t* scratch, Candidate* candidates, int* counts, void* stream) {
  return with_scalar(scalar, [&](auto tag) -> LaunchStatus {
    constexpr Scalar kScalar = decltype(tag)::kScalar;
    using Raw = typename Element<kScalar>::Raw;
    constexpr int kLanes = 16 / sizeof(Raw);
    const DecodeScratch parts = scratch_of(job, scratch);
    LaunchStatus status = clear(scratch, scratch_cleared_bytes(job), stream);
    if (status.code != 0) return status;
    const bool packs = in_packs<kLanes, Raw>(job);
    const auto collect = packs ? collect_peaks_kernel<kScalar, kLanes> : collect_peaks_kernel<kScalar, 1>;
    const int shared_bytes = packs ? collect_shared_bytes<kLanes>() : collect_shared_bytes<1>();
    status = start(collect, 2 * int64_t{job.views} * job.blocks, kCollectThreads, shared_bytes, stream, job, parts);
    if (status.code != 0) return status;
    return start(best_boxes_kernel<kScalar>, job.views, kBoxesThreads, kBoxesSharedBytes, stream, job, parts, candidates, counts);
  });
}

}  // namespace cornernet::cuda
