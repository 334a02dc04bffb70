// How much memory a device can still give.
#pragma once
#include <c10/core/Device.h>

#include <cstdint>

namespace cornernet {

/// Bytes a computation may take: free memory and what LibTorch's own cache holds unused, less a reserve for everyone else.
int64_t available_bytes(c10::Device device);

}  // namespace cornernet
