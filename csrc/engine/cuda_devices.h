// The CUDA devices this process sees and whether this build can run on them.
#pragma once
#include <vector>

#include "engine/detector.h"

namespace cornernet {

bool built_with_cuda();
/// LibTorch's CUDA version ("13.0"), empty without.
std::string cuda_version();
int cuda_device_count();
/// The device's properties; `has_code` is proven by running one of LibTorch's kernels and looking up ours, which costs a CUDA context.
CudaDevice cuda_device(int index);

}  // namespace cornernet
