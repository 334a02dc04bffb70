// How much memory a device can still give, and how much a computation takes.
#pragma once
#include <c10/core/Device.h>

#include <cstdint>
#include <memory>

namespace cornernet {

/// Bytes a computation may take: free memory and what LibTorch's own cache holds unused, less a reserve for everyone else.
int64_t available_bytes(c10::Device device);

/// Watches what is allocated for tensors while it is alive: by this thread on the CPU, on the whole device on CUDA. One at a time on a thread.
class PeakMemory {
 public:
  explicit PeakMemory(c10::Device device);
  ~PeakMemory();
  PeakMemory(const PeakMemory&) = delete;
  PeakMemory& operator=(const PeakMemory&) = delete;
  /// The most that was held at a time above what was held in the beginning.
  int64_t bytes() const;

 private:
  class Allocations;

  c10::Device device_;
  int64_t before_ = 0;                        // on CUDA
  std::unique_ptr<Allocations> allocations_;  // on the CPU
};

}  // namespace cornernet
