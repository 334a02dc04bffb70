// Corner pooling's forward kernels and their launcher.
#include "ops/cuda/context.cuh"
#include "ops/cuda/corner_pool_body.cuh"
#include "ops/cuda/corner_pool_kernel.h"
#include "ops/cuda/launch.cuh"

namespace cornernet::cuda {

template <Scalar kScalar, int kLanes, bool kAdd, typename Raw = typename Element<kScalar>::Raw>
__global__ void __launch_bounds__(kColumnSegments* kWarp, 1) scan_columns_kernel(const Raw* x, const Raw* addend, Raw* y, ScanView view) {
  DeviceContext context;
  scan_columns<kScalar, kLanes, kAdd>(context, x, addend, y, view);
}

template <Scalar kScalar, int kLanes, bool kAdd, typename Raw = typename Element<kScalar>::Raw>
__global__ void __launch_bounds__(kScanRowsThreads, 1) scan_rows_kernel(const Raw* x, const Raw* addend, Raw* y, ScanView view) {
  DeviceContext context;
  scan_rows<kScalar, kLanes, kAdd>(context, x, addend, y, view);
}

#ifdef __CUDACC_RTC__  // which compiles only what is instantiated
template __global__ void scan_columns_kernel<Scalar::Float32, 1, false>(const float*, const float*, float*, ScanView);
template __global__ void scan_rows_kernel<Scalar::Float32, 1, false>(const float*, const float*, float*, ScanView);
template __global__ void scan_columns_kernel<Scalar::Float32, 1, true>(const float*, const float*, float*, ScanView);
template __global__ void scan_rows_kernel<Scalar::Float32, 1, true>(const float*, const float*, float*, ScanView);
template __global__ void scan_columns_kernel<Scalar::Float32, 2, false>(const float*, const float*, float*, ScanView);
template __global__ void scan_rows_kernel<Scalar::Float32, 2, false>(const float*, const float*, float*, ScanView);
template __global__ void scan_columns_kernel<Scalar::Float32, 2, true>(const float*, const float*, float*, ScanView);
template __global__ void scan_rows_kernel<Scalar::Float32, 2, true>(const float*, const float*, float*, ScanView);
template __global__ void scan_columns_kernel<Scalar::Float32, 4, false>(const float*, const float*, float*, ScanView);
template __global__ void scan_rows_kernel<Scalar::Float32, 4, false>(const float*, const float*, float*, ScanView);
template __global__ void scan_columns_kernel<Scalar::Float32, 4, true>(const float*, const float*, float*, ScanView);
template __global__ void scan_rows_kernel<Scalar::Float32, 4, true>(const float*, const float*, float*, ScanView);
template __global__ void scan_columns_kernel<Scalar::Float16, 1, false>(const uint16_t*, const uint16_t*, uint16_t*, ScanView);
template __global__ void scan_rows_kernel<Scalar::Float16, 1, false>(const uint16_t*, const uint16_t*, uint16_t*, ScanView);
template __global__ void scan_columns_kernel<Scalar::Float16, 1, true>(const uint16_t*, const uint16_t*, uint16_t*, ScanView);
template __global__ void scan_rows_kernel<Scalar::Float16, 1, true>(const uint16_t*, const uint16_t*, uint16_t*, ScanView);
template __global__ void scan_columns_kernel<Scalar::Float16, 2, false>(const uint16_t*, const uint16_t*, uint16_t*, ScanView);
template __global__ void scan_rows_kernel<Scalar::Float16, 2, false>(const uint16_t*, const uint16_t*, uint16_t*, ScanView);
template __global__ void scan_columns_kernel<Scalar::Float16, 2, true>(const uint16_t*, const uint16_t*, uint16_t*, ScanView);
template __global__ void scan_rows_kernel<Scalar::Float16, 2, true>(const uint16_t*, const uint16_t*, uint16_t*, ScanView);
template __global__ void scan_columns_kernel<Scalar::Float16, 4, false>(const uint16_t*, const uint16_t*, uint16_t*, ScanView);
template __global__ void scan_rows_kernel<Scalar::Float16, 4, false>(const uint16_t*, const uint16_t*, uint16_t*, ScanView);
template __global__ void scan_columns_kernel<Scalar::Float16, 4, true>(const uint16_t*, const uint16_t*, uint16_t*, ScanView);
template __global__ void scan_rows_kernel<Scalar::Float16, 4, true>(const uint16_t*, const uint16_t*, uint16_t*, ScanView);
template __global__ void scan_rows_kernel<Scalar::Float16, 8, false>(const uint16_t*, const uint16_t*, uint16_t*, ScanView);
template __global__ void scan_rows_kernel<Scalar::Float16, 8, true>(const uint16_t*, const uint16_t*, uint16_t*, ScanView);
template __global__ void scan_columns_kernel<Scalar::BFloat16, 1, false>(const uint16_t*, const uint16_t*, uint16_t*, ScanView);
template __global__ void scan_rows_kernel<Scalar::BFloat16, 1, false>(const uint16_t*, const uint16_t*, uint16_t*, ScanView);
template __global__ void scan_columns_kernel<Scalar::BFloat16, 1, true>(const uint16_t*, const uint16_t*, uint16_t*, ScanView);
template __global__ void scan_rows_kernel<Scalar::BFloat16, 1, true>(const uint16_t*, const uint16_t*, uint16_t*, ScanView);
template __global__ void scan_columns_kernel<Scalar::BFloat16, 2, false>(const uint16_t*, const uint16_t*, uint16_t*, ScanView);
template __global__ void scan_rows_kernel<Scalar::BFloat16, 2, false>(const uint16_t*, const uint16_t*, uint16_t*, ScanView);
template __global__ void scan_columns_kernel<Scalar::BFloat16, 2, true>(const uint16_t*, const uint16_t*, uint16_t*, ScanView);
template __global__ void scan_rows_kernel<Scalar::BFloat16, 2, true>(const uint16_t*, const uint16_t*, uint16_t*, ScanView);
template __global__ void scan_columns_kernel<Scalar::BFloat16, 4, false>(const uint16_t*, const uint16_t*, uint16_t*, ScanView);
template __global__ void scan_rows_kernel<Scalar::BFloat16, 4, false>(const uint16_t*, const uint16_t*, uint16_t*, ScanView);
template __global__ void scan_columns_kernel<Scalar::BFloat16, 4, true>(const uint16_t*, const uint16_t*, uint16_t*, ScanView);
template __global__ void scan_rows_kernel<Scalar::BFloat16, 4, true>(const uint16_t*, const uint16_t*, uint16_t*, ScanView);
template __global__ void scan_rows_kernel<Scalar::BFloat16, 8, false>(const uint16_t*, const uint16_t*, uint16_t*, ScanView);
template __global__ void scan_rows_kernel<Scalar::BFloat16, 8, true>(const uint16_t*, const uint16_t*, uint16_t*, ScanView);
#else
namespace {

template <Scalar kScalar, int kLanes, bool kAdd, typename Raw>
LaunchStatus launch_columns(const Raw* x, const Raw* addend, Raw* y, const ScanView& view, cudaStream_t stream) {
  // As few chunks as the longest block allows, then as few warps as those chunks need.
  const int64_t chunks = ceil_div(view.length, kColumnSegments * kColumnRows);
  const int threads = static_cast<int>(ceil_div(view.length, chunks * kColumnRows)) * kWarp;
  const auto blocks = static_cast<unsigned>(view.outer * ceil_div(view.inner, kWarp * kLanes));
  const int shared = scan_columns_shared_bytes(threads, sizeof(Raw) * kLanes);
  const auto kernel = scan_columns_kernel<kScalar, kLanes, kAdd>;
  kernel<<<blocks, threads, shared, stream>>>(x, addend, y, view);
  return launched();
}

template <Scalar kScalar, int kLanes, bool kAdd, typename Raw>
LaunchStatus launch_rows(const Raw* x, const Raw* addend, Raw* y, const ScanView& view, cudaStream_t stream) {
  const auto blocks = static_cast<unsigned>(ceil_div(view.outer, kScanRowsThreads / kWarp * kScanRows));
  const auto kernel = scan_rows_kernel<kScalar, kLanes, kAdd>;
  kernel<<<blocks, kScanRowsThreads, 0, stream>>>(x, addend, y, view);
  return launched();
}

template <typename Raw>
bool packs_fit(int64_t neighbours, int lanes, const Raw* x, const Raw* addend, const Raw* y) {
  const int64_t bytes = sizeof(Raw) * lanes;
  return neighbours % lanes == 0 && aligned_to(x, bytes) && aligned_to(addend, bytes) && aligned_to(y, bytes);
}

/// The widest packs that are aligned; narrower ones, down to 4 bytes, where wide ones would leave lanes or multiprocessors idle.
template <Scalar kScalar, bool kAdd, int kLanes, typename Raw>
LaunchStatus scan_by_columns(const Raw* x, const Raw* addend, Raw* y, const ScanView& view, cudaStream_t stream) {
  if constexpr (kLanes > 1) {
    constexpr int64_t kStrip = kWarp * kLanes;
    const bool busy = view.inner >= kStrip && view.outer * ceil_div(view.inner, kStrip) >= 2 * multiprocessors();
    if (!packs_fit(view.inner, kLanes, x, addend, y) || (!busy && sizeof(Raw) * kLanes > 4)) {
      return scan_by_columns<kScalar, kAdd, kLanes / 2>(x, addend, y, view, stream);
    }
  }
  return launch_columns<kScalar, kLanes, kAdd>(x, addend, y, view, stream);
}

/// The widest packs that are aligned and give more than half the lanes work.
template <Scalar kScalar, bool kAdd, int kLanes, typename Raw>
LaunchStatus scan_by_rows(const Raw* x, const Raw* addend, Raw* y, const ScanView& view, cudaStream_t stream) {
  if constexpr (kLanes > 1) {
    if (!packs_fit(view.length, kLanes, x, addend, y) || view.length <= kWarp * kLanes / 2) {
      return scan_by_rows<kScalar, kAdd, kLanes / 2>(x, addend, y, view, stream);
    }
  }
  return launch_rows<kScalar, kLanes, kAdd>(x, addend, y, view, stream);
}

template <bool kAdd>
LaunchStatus scan(const void* x, const void* addend, void* y, Scalar scalar, const ScanView& view, void* stream) {
  return with_scalar(scalar, [&](auto tag) {
    constexpr Scalar kScalar = decltype(tag)::kScalar;
    using Raw = typename Element<kScalar>::Raw;
    const auto *const from = static_cast<const Raw*>(x), *const added = static_cast<const Raw*>(addend);
    auto* const to = static_cast<Raw*>(y);
    const auto on = static_cast<cudaStream_t>(stream);
    if (view.inner > 1) return scan_by_columns<kScalar, kAdd, kColumnLanes>(from, added, to, view, on);
    return scan_by_rows<kScalar, kAdd, 16 / sizeof(Raw)>(from, added, to, view, on);
  });
}

}  // namespace

LaunchStatus corner_pool(const void* x, void* y, Scalar scalar, const ScanView& view, void* stream) {
  return scan<false>(x, nullptr, y, scalar, view, stream);
}

LaunchStatus corner_pool_add(const void* x, const void* addend, void* y, Scalar scalar, const ScanView& view, void* stream) {
  return scan<true>(x, addend, y, scalar, view, stream);
}
#endif

}  // namespace cornernet::cuda
