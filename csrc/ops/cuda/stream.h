// From tensors to launches: the device guard, torch's current stream, and errors as ours. Included by .cpp files only.
#pragma once
#include <ATen/core/Tensor.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <string>

#include "ops/cuda/kernels.h"
#include "runtime/error.h"

namespace cornernet::cuda {

/// Runs `start(stream)` with the device of `on` current and its current stream (a cudaStream_t as void*); throws unless the launch succeeded.
template <typename Start>
void launch(const at::Tensor& on, Start&& start) {
  const c10::cuda::CUDAGuard guard(on.device());
  const LaunchStatus status = start(static_cast<void*>(c10::cuda::getCurrentCUDAStream(on.device().index()).stream()));
  constexpr int kMemoryAllocation = 2;  // cudaErrorMemoryAllocation
  if (status.code == 0) return;
  throw Error(status.code == kMemoryAllocation ? ErrorCode::OutOfMemory : ErrorCode::Device,
              "a kernel could not start on " + on.device().str() + ": " + status.sentence);
}

}  // namespace cornernet::cuda
