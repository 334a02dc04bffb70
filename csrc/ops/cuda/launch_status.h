// What a kernel launch came to, in terms that need neither CUDA's nor torch's headers.
#pragma once

namespace cornernet::cuda {

/// cudaError_t's value (0 is success) and CUDA's own sentence for it, which lives as long as the process.
struct LaunchStatus {
  int code = 0;
  const char* sentence = "";
};

}  // namespace cornernet::cuda
