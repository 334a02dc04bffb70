#include "engine/device_memory.h"

#include "runtime/machine.h"

#ifdef CORNERNET_CUDA
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <cuda_runtime_api.h>
#endif

namespace cornernet {
namespace {

constexpr double kUsableShare = 0.9;

#ifdef CORNERNET_CUDA
constexpr auto kAll = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);

int64_t cuda_available_bytes(c10::Device device) {
  const c10::cuda::CUDAGuard guard(device);
  size_t free = 0, total = 0;
  if (cudaMemGetInfo(&free, &total) != cudaSuccess) return 0;
  const auto stats = c10::cuda::CUDACachingAllocator::getDeviceStats(device.index());
  return static_cast<int64_t>(free) + stats.reserved_bytes[kAll].current - stats.allocated_bytes[kAll].current;
}

c10::CachingAllocator::Stat allocated_on(c10::Device device) {
  return c10::cuda::CUDACachingAllocator::getDeviceStats(device.index()).allocated_bytes[kAll];
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

PeakMemory::PeakMemory(c10::Device device, ActivationMemory& activations) : device_(device), activations_(activations) {
#ifdef CORNERNET_CUDA
  if (device.is_cuda()) {
    c10::cuda::CUDACachingAllocator::resetPeakStats(device.index());
    before_ = allocated_on(device).current;
    return;
  }
#endif
  activations_.count_peak_anew();
}

int64_t PeakMemory::bytes() const {
#ifdef CORNERNET_CUDA
  if (device_.is_cuda()) return allocated_on(device_).peak - before_;
#endif
  return activations_.peak_bytes();
}

}  // namespace cornernet
