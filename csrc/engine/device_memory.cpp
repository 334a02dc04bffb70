#include "engine/device_memory.h"

#include "runtime/machine.h"

#ifdef CORNERNET_CUDA
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#endif

namespace cornernet {
namespace {

constexpr double kUsableShare = 0.9;

#ifdef CORNERNET_CUDA
int64_t cuda_available_bytes(c10::Device device) {
  const c10::cuda::CUDAGuard guard(device);
  size_t free = 0, total = 0;
  if (cudaMemGetInfo(&free, &total) != cudaSuccess) return 0;
  const auto stats = c10::cuda::CUDACachingAllocator::getDeviceStats(device.index());
  const auto all = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  return static_cast<int64_t>(free) + stats.reserved_bytes[all].current - stats.allocated_bytes[all].current;
}
#endif

}  // namespace

int64_t available_bytes(c10::Device device) {
  int64_t bytes = available_memory_bytes();
#ifdef CORNERNET_CUDA
  if (device.is_cuda()) bytes = cuda_available_bytes(device);
#else
  (void)device;
#endif
  return static_cast<int64_t>(kUsableShare * static_cast<double>(bytes));
}

}  // namespace cornernet
