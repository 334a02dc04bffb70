// How much memory a device can still give, and how much a computation takes.
#pragma once
#include <cstdint>

#include "engine/activation_memory.h"
#include "engine/device_runtime.h"

namespace cornernet {

/// Bytes a computation may take on a GPU, or (null) on the CPU: free memory and what LibTorch's own cache holds unused, less what recordings keep and
/// a reserve for everyone else.
int64_t available_bytes(DeviceRuntime* runtime);

/// Watches what is allocated for tensors: from `activations` on the CPU, on the whole device on a GPU.
class PeakMemory {
 public:
  PeakMemory(DeviceRuntime* runtime, ActivationMemory& activations);
  /// The most that was held at a time above what was held in the beginning.
  int64_t bytes() const;

 private:
  DeviceRuntime* runtime_;
  ActivationMemory& activations_;
  int64_t before_ = 0;  // on a GPU
};

}  // namespace cornernet
