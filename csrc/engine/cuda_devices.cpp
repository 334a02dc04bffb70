#include "engine/cuda_devices.h"

#include "runtime/error.h"

#ifdef CORNERNET_CUDA
#include <ATen/ops/ones.h>
#include <c10/cuda/CUDAGuard.h>
#include <cuda_runtime_api.h>

#include <sstream>
#endif

namespace cornernet {

#ifdef CORNERNET_CUDA

namespace {

/// Our own kernels: compiled for this generation of GPUs up to its minor version, or PTX of an older one ("70-real 75-real 120").
bool own_code_runs_on(int major, int minor) {
  std::istringstream list(CORNERNET_CUDA_ARCHS);
  std::string entry;
  while (list >> entry) {
    const int compiled = std::stoi(entry);
    if (compiled / 10 == major && compiled % 10 <= minor) return true;
    const bool ptx = entry.find("real") == std::string::npos;
    if (ptx && compiled <= 10 * major + minor) return true;
  }
  return false;
}

/// LibTorch doesn't tell in C++ which architectures it was compiled for; "no kernel image" at the first kernel does.
bool libtorch_runs_on(int index) {
  try {
    const at::Device device(at::kCUDA, static_cast<c10::DeviceIndex>(index));
    return at::ones({1}, at::TensorOptions().device(device)).cpu().item<float>() == 1.f;
  } catch (const c10::Error&) {
    return false;
  }
}

}  // namespace

bool built_with_cuda() { return true; }

std::string cuda_version() { return std::to_string(CUDART_VERSION / 1000) + "." + std::to_string(CUDART_VERSION % 1000 / 10); }

int cuda_device_count() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

CudaDevice cuda_device(int index) {
  cudaDeviceProp properties;
  if (cudaGetDeviceProperties(&properties, index) != cudaSuccess) {
    throw Error(ErrorCode::Device, "the properties of cuda:" + std::to_string(index) + " can't be read");
  }
  return {properties.name, properties.major, properties.minor, own_code_runs_on(properties.major, properties.minor) && libtorch_runs_on(index)};
}

#else

bool built_with_cuda() { return false; }
std::string cuda_version() { return ""; }
int cuda_device_count() { return 0; }
CudaDevice cuda_device(int) { throw Error(ErrorCode::Device, "this build has no CUDA side"); }

#endif

}  // namespace cornernet
