// Corner pooling's forward kernels and their launcher.
#include "ops/cuda/context.cuh"
#include "ops/cuda/corner_pool_body.cuh"
#include "ops/cuda/corner_pool_kernel.h"
#include "ops/cuda/launch.cuh"

namespace cornernet::cuda {

template <Scalar kScalar, int kLanes, bool kAdd, typename Raw = typename Element<kScalar>::Raw>
__global__ void __launch_bounds__(kColumnSegments* kWarp) scan_columns_kernel(const Raw* x, const Raw* addend, Raw* y, ScanView view) {
  DeviceContext context;
  scan_columns<kScalar, kLanes, kAdd>(context, x, addend, y, view);
}

template <Scalar kScalar, int kLanes, bool kAdd, typename Raw = typename Element<kScalar>::Raw>
__global__ void __launch_bounds__(kScanRowsThreads) scan_rows_kernel(const Raw* x, const Raw* addend, Raw* y, ScanView view) {
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
template __global__ void scan_columns_kernel<Scalar::Float16, 8, false>(const uint16_t*, const uint16_t*, uint16_t*, ScanView);
template __global__ void scan_rows_kernel<Scalar::Float16, 8, false>(const uint16_t*, const uint16_t*, uint16_t*, ScanView);
template __global__ void scan_columns_kernel<Scalar::Float16, 8, true>(const uint16_t*, const uint16_t*, uint16_t*, ScanView);
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
template __global__ void scan_columns_kernel<Scalar::BFloat16, 8, false>(const uint16_t*, const uint16_t*, uint16_t*, ScanView);
template __global__ void scan_rows_kernel<Scalar::BFloat16, 8, false>(const uint16_t*, const uint16_t*, uint16_t*, ScanView);
template __global__ void scan_columns_kernel<Scalar::BFloat16, 8, true>(const uint16_t*, const uint16_t*, uint16_t*, ScanView);
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

/// The widest packs that are aligned, and narrower ones where wide ones would leave multiprocessors (columns) or lanes (rows) idle.
template <Scalar kScalar, bool kAdd, int kLanes, typename Raw>
LaunchStatus launch_scan(const Raw* x, const Raw* addend, Raw* y, const ScanView& view, cudaStream_t stream) {
  const bool by_rows = view.inner == 1;
  const int64_t bytes = sizeof(Raw) * kLanes;
  const bool aligned =
      (by_rows ? view.length : view.inner) % kLanes == 0 && aligned_to(x, bytes) && aligned_to(addend, bytes) && aligned_to(y, bytes);
  const bool busy =
      by_rows ? view.length > kWarp * kLanes / 2 : view.outer * ceil_div(view.inner, kWarp * kLanes) >= 2 * multiprocessors() || bytes <= 4;
  if constexpr (kLanes > 1) {
    if (!aligned || !busy) return launch_scan<kScalar, kAdd, kLanes / 2>(x, addend, y, view, stream);
  }
  return by_rows ? launch_rows<kScalar, kLanes, kAdd>(x, addend, y, view, stream) : launch_columns<kScalar, kLanes, kAdd>(x, addend, y, view, stream);
}

template <bool kAdd>
LaunchStatus scan(const void* x, const void* addend, void* y, Scalar scalar, const ScanView& view, void* stream) {
  return with_scalar(scalar, [&](auto tag) {
    using Raw = typename Element<decltype(tag)::kScalar>::Raw;
    constexpr int kLanes = 16 / sizeof(Raw);
    return launch_scan<decltype(tag)::kScalar, kAdd, kLanes>(static_cast<const Raw*>(x), static_cast<const Raw*>(addend), static_cast<Raw*>(y), view,
                                                             static_cast<cudaStream_t>(stream));
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
