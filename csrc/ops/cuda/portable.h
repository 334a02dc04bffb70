// What device code and the C++ around it share, without a header of torch's or CUDA's; a kernel's body also compiles as plain C++, so that its index
// arithmetic runs in tests on a machine without a GPU.
#pragma once

#include "ops/fixed_width.h"

namespace cornernet::cuda {

constexpr int kWarp = 32;

/// From global memory that no kernel writes: of an address which was itself read from memory the compiler can't know that it lies there.
CORNERNET_DEVICE unsigned char load_byte(const unsigned char* at) {
#ifdef __CUDACC__
  return __ldg(at);
#else
  return *at;
#endif
}

/// The element types of the kernels.
enum class Scalar { Float32, Float16, BFloat16 };

}  // namespace cornernet::cuda
