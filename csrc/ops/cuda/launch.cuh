// Host-side helpers of the launchers: checking a launch and choosing a grid. Not for NVRTC.
#pragma once
#ifndef __CUDACC_RTC__
#include <cuda_runtime_api.h>

#include <algorithm>

#include "ops/cuda/launch_status.h"
#include "ops/fixed_width.h"
#include "ops/scalar_type.h"

namespace cornernet::cuda {

/// To be called right after a launch: configuration errors show here, faults of running kernels at a later call.
inline LaunchStatus launched() {
  const cudaError_t error = cudaGetLastError();
  return {static_cast<int>(error), cudaGetErrorString(error)};
}

inline int64_t ceil_div(int64_t n, int64_t d) { return (n + d - 1) / d; }

inline bool aligned_to(const void* pointer, int64_t bytes) { return reinterpret_cast<uintptr_t>(pointer) % bytes == 0; }

/// Multiprocessors of the current device; 1 when it can't be asked, and the launch that follows then reports why.
inline int multiprocessors() {
  int device = 0, count = 1;
  if (cudaGetDevice(&device) == cudaSuccess) cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device);
  return count;
}

template <Scalar kValue>
struct ScalarTag {
  static constexpr Scalar kScalar = kValue;
};

/// start(ScalarTag<scalar>{})
template <typename Start>
LaunchStatus with_scalar(Scalar scalar, Start&& start) {
  switch (scalar) {
    case Scalar::Float32:
      return start(ScalarTag<Scalar::Float32>{});
    case Scalar::Float16:
      return start(ScalarTag<Scalar::Float16>{});
    case Scalar::BFloat16:
      return start(ScalarTag<Scalar::BFloat16>{});
  }
  return {static_cast<int>(cudaErrorInvalidValue), "unknown element type"};
}

}  // namespace cornernet::cuda
#endif
