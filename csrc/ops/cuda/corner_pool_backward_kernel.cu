// Corner pooling's backward kernels and their launcher.
#include "ops/cuda/context.cuh"
#include "ops/cuda/corner_pool_backward_body.cuh"
#include "ops/cuda/corner_pool_kernel.h"
#include "ops/cuda/launch.cuh"

namespace cornernet::cuda {

template <Scalar kScalar, typename Raw = typename Element<kScalar>::Raw>
__global__ void __launch_bounds__(kBackwardThreads) backward_columns_kernel(const Raw* grad_y, const Raw* x, Raw* grad_x, ScanView view) {
  DeviceContext context;
  backward_columns<kScalar>(context, grad_y, x, grad_x, view);
}

template <Scalar kScalar, typename Raw = typename Element<kScalar>::Raw>
__global__ void __launch_bounds__(kBackwardThreads) backward_rows_kernel(const Raw* grad_y, const Raw* x, Raw* grad_x, ScanView view) {
  DeviceContext context;
  backward_rows<kScalar>(context, grad_y, x, grad_x, view);
}

#ifdef __CUDACC_RTC__  // which compiles only what is instantiated
template __global__ void backward_columns_kernel<Scalar::Float32>(const float*, const float*, float*, ScanView);
template __global__ void backward_rows_kernel<Scalar::Float32>(const float*, const float*, float*, ScanView);
template __global__ void backward_columns_kernel<Scalar::Float16>(const uint16_t*, const uint16_t*, uint16_t*, ScanView);
template __global__ void backward_rows_kernel<Scalar::Float16>(const uint16_t*, const uint16_t*, uint16_t*, ScanView);
template __global__ void backward_columns_kernel<Scalar::BFloat16>(const uint16_t*, const uint16_t*, uint16_t*, ScanView);
template __global__ void backward_rows_kernel<Scalar::BFloat16>(const uint16_t*, const uint16_t*, uint16_t*, ScanView);
#else
LaunchStatus corner_pool_backward(const void* grad_y, const void* x, void* grad_x, Scalar scalar, const ScanView& view, void* stream) {
  return with_scalar(scalar, [&](auto tag) {
    constexpr Scalar kScalar = decltype(tag)::kScalar;
    using Raw = typename Element<kScalar>::Raw;
    const auto* const from = static_cast<const Raw*>(x);
    const auto* const grads = static_cast<const Raw*>(grad_y);
    auto* const to = static_cast<Raw*>(grad_x);
    const auto on = static_cast<cudaStream_t>(stream);
    if (view.inner > 1) {
      const auto blocks = static_cast<unsigned>(ceil_div(view.outer * view.inner, kBackwardThreads));
      const auto kernel = backward_columns_kernel<kScalar>;
      kernel<<<blocks, kBackwardThreads, 0, on>>>(grads, from, to, view);
    } else {
      const auto blocks = static_cast<unsigned>(ceil_div(view.outer, kBackwardThreads / kWarp));
      const auto kernel = backward_rows_kernel<kScalar>;
      kernel<<<blocks, kBackwardThreads, 0, on>>>(grads, from, to, view);
    }
    return launched();
  });
}
#endif

}  // namespace cornernet::cuda
