#include "engine/device_memory.h"

#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>

#include <algorithm>
#include <mutex>
#include <unordered_map>

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

/// What a thread has allocated and not freed since it began to watch.
class PeakMemory::Allocations {
 public:
  Allocations() {
    watching = this;
    const std::lock_guard lock(counting.mutex);
    if (counting.watchers++ > 0) return;
    counting.allocator.usual = c10::GetCPUAllocator();
    c10::SetCPUAllocator(&counting.allocator);
  }
  ~Allocations() {
    watching = nullptr;
    const std::lock_guard lock(counting.mutex);
    if (--counting.watchers == 0) c10::SetCPUAllocator(counting.allocator.usual);
  }

  int64_t peak() const { return peak_; }

 private:
  /// LibTorch's own allocator, whose blocks a watching thread notes. In place while anybody watches.
  struct CountingAllocator final : c10::Allocator {
    c10::DataPtr allocate(size_t bytes) override {
      c10::DataPtr block = usual->allocate(bytes);
      if (watching == nullptr) return block;
      void* const data = block.release_context();
      watching->add(data, static_cast<int64_t>(bytes));
      return {data, data, &free_block, block.device()};
    }
    c10::DeleterFnPtr raw_deleter() const override { return &free_block; }
    void copy_data(void* to, const void* from, size_t bytes) const override { usual->copy_data(to, from, bytes); }

    static void free_block(void* block) {
      if (watching != nullptr) watching->remove(block);
      c10::free_cpu(block);  // as LibTorch's own allocator frees
    }

    c10::Allocator* usual = nullptr;
  };
  struct Counting {
    std::mutex mutex;
    int watchers = 0;
    CountingAllocator allocator;
  };

  void add(void* block, int64_t bytes) {
    held_[block] = bytes;
    held_bytes_ += bytes;
    peak_ = std::max(peak_, held_bytes_);
  }
  void remove(void* block) {
    const auto found = held_.find(block);
    if (found == held_.end()) return;  // older than the watch
    held_bytes_ -= found->second;
    held_.erase(found);
  }

  static Counting counting;
  static thread_local Allocations* watching;
  std::unordered_map<void*, int64_t> held_;
  int64_t held_bytes_ = 0, peak_ = 0;
};

PeakMemory::Allocations::Counting PeakMemory::Allocations::counting;
thread_local PeakMemory::Allocations* PeakMemory::Allocations::watching = nullptr;

PeakMemory::PeakMemory(c10::Device device) : device_(device) {
#ifdef CORNERNET_CUDA
  if (device.is_cuda()) {
    c10::cuda::CUDACachingAllocator::resetPeakStats(device.index());
    before_ = allocated_on(device).current;
    return;
  }
#endif
  allocations_ = std::make_unique<Allocations>();
}

PeakMemory::~PeakMemory() = default;

int64_t PeakMemory::bytes() const {
#ifdef CORNERNET_CUDA
  if (device_.is_cuda()) return allocated_on(device_).peak - before_;
#endif
  return allocations_->peak();
}

}  // namespace cornernet
