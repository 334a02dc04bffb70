// The kernel of nearest upsampling and addition, and its launcher.
#include "ops/cuda/launch.cuh"
#include "ops/cuda/upsample_add_body.cuh"

namespace cornernet::cuda {

template <Scalar kScalar, int kLanes, typename Raw = typename Element<kScalar>::Raw>
__global__ void __launch_bounds__(kUpsampleThreads) upsample_add_kernel(const Raw* low, const Raw* skip, Raw* y, UpsampleView view, uint32_t packs) {
  DeviceContext context;
  add_upsampled<kScalar, kLanes>(context, low, skip, y, view, packs);
}

namespace {

/// As many planes a launch as 32-bit pack numbers reach.
template <Scalar kScalar, int kLanes, typename Raw>
LaunchStatus launch_packs(const Raw* low, const Raw* skip, Raw* y, UpsampleView view, void* stream) {
  constexpr int64_t kMostPacks = int64_t{1} << 30;
  const int64_t packs_a_plane = view.height * view.width * view.channels / kLanes;
  if (packs_a_plane > kMostPacks) return {1, "a map of more than 2^30 packs"};
  const int64_t planes = view.batch;
  for (int64_t plane = 0; plane < planes; plane += view.batch) {
    view.batch = planes - plane < kMostPacks / packs_a_plane ? planes - plane : kMostPacks / packs_a_plane;
    const auto packs = static_cast<uint32_t>(view.batch * packs_a_plane);
    const int64_t from = plane * view.low_height * view.low_width * view.channels, to = plane * packs_a_plane * kLanes;
    const LaunchStatus status = start(upsample_add_kernel<kScalar, kLanes>, ceil_div(packs, kUpsampleThreads * kUpsamplePacks), kUpsampleThreads, 0,
                                      stream, low + from, skip + to, y + to, view, packs);
    if (status.code != 0) return status;
  }
  return {};
}

template <Scalar kScalar, int kLanes, typename Raw>
LaunchStatus launch_widest(const Raw* low, const Raw* skip, Raw* y, const UpsampleView& view, void* stream) {
  constexpr int64_t kBytes = sizeof(Raw) * kLanes;
  if constexpr (kLanes > 1) {
    if (view.channels % kLanes != 0 || !aligned_to(low, kBytes) || !aligned_to(skip, kBytes) || !aligned_to(y, kBytes)) {
      return launch_widest<kScalar, kLanes / 2>(low, skip, y, view, stream);
    }
  }
  return launch_packs<kScalar, kLanes>(low, skip, y, view, stream);
}

}  // namespace

LaunchStatus upsample_add(const void* low, const void* skip, void* y, Scalar scalar, const UpsampleView& view, void* stream) {
  return with_scalar(scalar, [&](auto tag) {
    using Raw = typename Element<decltype(tag)::kScalar>::Raw;
    return launch_widest<decltype(tag)::kScalar, 16 / sizeof(Raw)>(static_cast<const Raw*>(low), static_cast<const Raw*>(skip), static_cast<Raw*>(y),
                                                                   view, stream);
  });
}

}  // namespace cornernet::cuda
