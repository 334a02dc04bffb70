// The kernels of corner decoding and their launcher.
#include "ops/cuda/corner_decode_body.cuh"
#include "ops/cuda/launch.cuh"

namespace cornernet::cuda {

template <Scalar kScalar, int kLanes>
__global__ void __launch_bounds__(kCollectThreads) collect_peaks_kernel(DecodeJob job, uint64_t* floors, uint64_t* found) {
  DeviceContext context;
  collect_peaks<kScalar, kLanes>(context, job, floors, found);
}

template <Scalar kScalar>
__global__ void __launch_bounds__(kBoxesThreads)
    best_boxes_kernel(DecodeJob job, const uint64_t* floors, const uint64_t* found, Candidate* candidates, int* counts) {
  DeviceContext context;
  best_boxes<kScalar>(context, job, floors, found, candidates, counts);
}

int collecting_blocks(const DecodeJob& job) {
  constexpr int kBlocksAMultiprocessor = 6;  // as many as a V100 holds
  return collecting_blocks(job, kBlocksAMultiprocessor * multiprocessors());
}

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
    const int64_t maps = 2 * int64_t{job.views};
    uint64_t *const floors = scratch, *const found = scratch + maps;
    LaunchStatus status = clear(floors, maps * static_cast<int64_t>(sizeof(uint64_t)), stream);
    if (status.code != 0) return status;
    const auto collect = in_packs<kLanes, Raw>(job) ? collect_peaks_kernel<kScalar, kLanes> : collect_peaks_kernel<kScalar, 1>;
    status = start(collect, maps * job.blocks, kCollectThreads, kTopKeysBytes, stream, job, floors, found);
    if (status.code != 0) return status;
    return start(best_boxes_kernel<kScalar>, job.views, kBoxesThreads, kBoxesSharedBytes, stream, job, floors, found, candidates, counts);
  });
}

}  // namespace cornernet::cuda
