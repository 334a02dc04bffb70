// How much memory a device can still give, and how much a computation takes.
#pragma once
#include <c10/core/Device.h>

#include <cstdint>

#include "engine/activation_memory.h"

namespace cornernet {

/// Bytes a computation may take: free memory and what LibTorch's own cache holds unused, less a reserve for everyone else.
int64_t available_bytes(c10::Device device);

/// Watches what is allocated for tensors: from `activations` on the CPU, on the whole device on CUDA.
class PeakMemory {
 public:
  PeakMemory(c10::Device device, ActivationMemory& activations);
  /// The most that was held at a time above what was held in the beginning.
  int64_t bytes() const;

 private:
  c10::Device device_;
  ActivationMemory& activations_;
  int64_t before_ = 0;  // on CUDA
};

}  // namespace cornernet
