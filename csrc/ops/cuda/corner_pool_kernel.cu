// Corner pooling's kernels, forward and backward, and their launchers.
#include "ops/cuda/corner_pool_body.cuh"
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

template <Scalar kScalar, typename Raw = typename Element<kScalar>::Raw>
__global__ void __launch_bounds__(kBackwardThreads) scan_backward_kernel(const Raw* grad_y, const Raw* x, Raw* grad_x, ScanView view) {
  DeviceContext context;
  scan_backward<kScalar>(context, grad_y, x, grad_x, view);
}

namespace {

template <Scalar kScalar, int kLanes, bool kAdd, typename Raw>
LaunchStatus launch_columns(const Raw* x, const Raw* addend, Raw* y, const ScanView& view, void* stream) {
  // As few chunks as the longest block allows, then as few warps as those chunks need.
  const int64_t chunks = ceil_div(view.length, kColumnSegments * kColumnRows);
  const int threads = static_cast<int>(ceil_div(view.length, chunks * kColumnRows)) * kWarp;
  return start(scan_columns_kernel<kScalar, kLanes, kAdd>, view.outer * ceil_div(view.inner, kWarp * kLanes), threads,
               scan_columns_shared_bytes(threads, sizeof(Raw) * kLanes), stream, x, addend, y, view);
}

template <Scalar kScalar, int kLanes, bool kAdd, typename Raw>
LaunchStatus launch_rows(const Raw* x, const Raw* addend, Raw* y, const ScanView& view, void* stream) {
  return start(scan_rows_kernel<kScalar, kLanes, kAdd>, ceil_div(view.outer, kScanRowsThreads / kWarp * kScanRows), kScanRowsThreads, 0, stream, x,
               addend, y, view);
}

template <typename Raw>
bool packs_fit(int64_t neighbours, int lanes, const Raw* x, const Raw* addend, const Raw* y) {
  const int64_t bytes = sizeof(Raw) * lanes;
  return neighbours % lanes == 0 && aligned_to(x, bytes) && aligned_to(addend, bytes) && aligned_to(y, bytes);
}

/// The widest packs that are aligned; narrower ones, down to 4 bytes, where wide ones would leave lanes or multiprocessors idle.
template <Scalar kScalar, bool kAdd, int kLanes, typename Raw>
LaunchStatus scan_by_columns(const Raw* x, const Raw* addend, Raw* y, const ScanView& view, void* stream) {
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
LaunchStatus scan_by_rows(const Raw* x, const Raw* addend, Raw* y, const ScanView& view, void* stream) {
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
    if (view.inner > 1) return scan_by_columns<kScalar, kAdd, kColumnLanes>(from, added, to, view, stream);
    return scan_by_rows<kScalar, kAdd, 16 / sizeof(Raw)>(from, added, to, view, stream);
  });
}

}  // namespace

LaunchStatus corner_pool(const void* x, void* y, Scalar scalar, const ScanView& view, void* stream) {
  return scan<false>(x, nullptr, y, scalar, view, stream);
}

LaunchStatus corner_pool_add(const void* x, const void* addend, void* y, Scalar scalar, const ScanView& view, void* stream) {
  return scan<true>(x, addend, y, scalar, view, stream);
}

LaunchStatus corner_pool_backward(const void* grad_y, const void* x, void* grad_x, Scalar scalar, const ScanView& view, void* stream) {
  return with_scalar(scalar, [&](auto tag) {
    constexpr Scalar kScalar = decltype(tag)::kScalar;
    using Raw = typename Element<kScalar>::Raw;
    const auto *const from = static_cast<const Raw*>(x), *const grads = static_cast<const Raw*>(grad_y);
    return start(scan_backward_kernel<kScalar>, ceil_div(view.outer * view.inner, kBackwardThreads), kBackwardThreads, 0, stream, grads, from,
                 static_cast<Raw*>(grad_x), view);
  });
}

}  // namespace cornernet::cuda
