// The element types of the CUDA kernels, named without torch.
#pragma once

namespace cornernet {

enum class Scalar { Float32, Float16, BFloat16 };

}  // namespace cornernet
