// What a kernel's body asks of the thread it runs in, answered by CUDA; test/native/host_block.h answers the same on the CPU.
#pragma once
#include "ops/fixed_width.h"

namespace cornernet::cuda {

/// One-dimensional blocks of whole warps. Every lane of a warp takes part in a shuffle, every thread of a block in a sync.
struct DeviceContext {
  __device__ __forceinline__ int thread() const { return static_cast<int>(threadIdx.x); }
  __device__ __forceinline__ int threads() const { return static_cast<int>(blockDim.x); }
  __device__ __forceinline__ unsigned block() const { return blockIdx.x; }
  __device__ __forceinline__ void sync() const { __syncthreads(); }
  /// A sync that tells every thread of the block whether any says yes.
  __device__ __forceinline__ bool sync_any(bool yes) const { return __syncthreads_or(yes) != 0; }
  /// What was there before; at most one thread at a time.
  __device__ __forceinline__ int atomic_add(int* at, int value) const { return atomicAdd(at, value); }
  __device__ __forceinline__ void atomic_max(uint64_t* at, uint64_t value) const {
    atomicMax(reinterpret_cast<unsigned long long*>(at), static_cast<unsigned long long>(value));
  }
  /// What other blocks have made of it by now, or had a little earlier.
  __device__ __forceinline__ uint64_t look(const uint64_t* at) const { return *reinterpret_cast<const volatile uint64_t*>(at); }
  template <typename T>
  __device__ __forceinline__ T shuffle_up(T value, int lanes) const {
    return __shfl_up_sync(0xffffffffu, value, static_cast<unsigned>(lanes));
  }
  template <typename T>
  __device__ __forceinline__ T shuffle(T value, int lane) const {
    return __shfl_sync(0xffffffffu, value, lane);
  }
  /// The block's dynamic shared memory, 16-byte aligned.
  __device__ __forceinline__ unsigned char* shared() const {
    extern __shared__ uint4 memory[];
    return reinterpret_cast<unsigned char*>(memory);
  }
};

}  // namespace cornernet::cuda
