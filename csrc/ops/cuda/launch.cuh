// Host-side helpers of the launchers: choosing a grid, and starting a kernel. NVRTC, which has no host, compiles the launchers as device code that is
// never run: so it meets every kernel that they start.
#pragma once
#ifndef __CUDACC_RTC__
#include <cuda_runtime_api.h>
#endif

#include "ops/cuda/context.cuh"
#include "ops/cuda/kernels.h"

namespace cornernet::cuda {

constexpr int64_t ceil_div(int64_t n, int64_t d) { return (n + d - 1) / d; }

inline bool aligned_to(const void* pointer, int64_t bytes) { return reinterpret_cast<uint64_t>(pointer) % static_cast<uint64_t>(bytes) == 0; }

/// Multiprocessors of the current device; 1 when it can't be asked, and the launch that follows then reports why.
inline int multiprocessors() {
  int count = 1;
#ifndef __CUDACC_RTC__
  int device = 0;
  if (cudaGetDevice(&device) == cudaSuccess) cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device);
#endif
  return count;
}

/// Configuration errors show here, faults of running kernels at a later call.
template <typename... Parameters, typename... Arguments>
LaunchStatus start(void (*kernel)(Parameters...), int64_t blocks, int64_t threads, size_t shared_bytes, void* stream, Arguments... arguments) {
#ifdef __CUDACC_RTC__
  return {kernel == nullptr, ""};
#else
  kernel<<<static_cast<unsigned>(blocks), static_cast<unsigned>(threads), shared_bytes, static_cast<cudaStream_t>(stream)>>>(arguments...);
  const cudaError_t error = cudaGetLastError();
  return {static_cast<int>(error), cudaGetErrorString(error)};
#endif
}

/// Sets bytes to 0, in the stream's order.
inline LaunchStatus clear(void* memory, int64_t bytes, void* stream) {
#ifdef __CUDACC_RTC__
  return {memory == nullptr || bytes < 0 || stream == nullptr, ""};
#else
  const cudaError_t error = cudaMemsetAsync(memory, 0, static_cast<size_t>(bytes), static_cast<cudaStream_t>(stream));
  return {static_cast<int>(error), cudaGetErrorString(error)};
#endif
}

template <Scalar kValue>
struct ScalarTag {
  static constexpr Scalar kScalar = kValue;
};

/// launch(ScalarTag<scalar>{})
template <typename Launch>
LaunchStatus with_scalar(Scalar scalar, Launch&& launch) {
  switch (scalar) {
    case Scalar::Float32:
      return launch(ScalarTag<Scalar::Float32>{});
    case Scalar::Float16:
      return launch(ScalarTag<Scalar::Float16>{});
    case Scalar::BFloat16:
      return launch(ScalarTag<Scalar::BFloat16>{});
  }
  return {1, "unknown element type"};
}

}  // namespace cornernet::cuda
