#include "engine/device.h"

#include <ATen/Parallel.h>

#include <charconv>

#include "ops/failure.h"
#include "runtime/error.h"
#include "runtime/machine.h"

#ifdef CORNERNET_CUDA
#include <ATen/detail/CUDAHooksInterface.h>
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

/// What LibTorch's first kernel meets, empty where it runs. LibTorch doesn't tell in C++ which architectures it was compiled for: this does. A device
/// that is full says so to whoever uses it.
std::string first_failure_on(int index) {
  try {
    (void)at::ones({1}, at::TensorOptions().device(at::kCUDA, static_cast<c10::DeviceIndex>(index))).cpu();
    return "";
  } catch (const c10::Error& error) {
    const std::string what = error.what_without_backtrace();
    return failure_of(what) == Failure::Memory ? "" : what.substr(0, what.find('\n'));
  }
}

}  // namespace

bool built_with_cuda() { return true; }

std::string cuda_version() { return std::to_string(CUDART_VERSION / 1000) + "." + std::to_string(CUDART_VERSION % 1000 / 10); }

int cudnn_version() {
  const at::CUDAHooksInterface& hooks = at::detail::getCUDAHooks();
  return hooks.hasCuDNN() ? static_cast<int>(hooks.versionRuntimeCuDNN()) : 0;
}

int cuda_device_count() {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess) return count;
  (void)cudaGetLastError();  // else the next check anywhere reports it
  return 0;
}

namespace {

cudaDeviceProp properties_of(int index) {
  cudaDeviceProp properties;
  if (cudaGetDeviceProperties(&properties, index) != cudaSuccess) {
    (void)cudaGetLastError();
    throw Error(ErrorCode::Device, "the properties of cuda:" + std::to_string(index) + " can't be read");
  }
  return properties;
}

}  // namespace

CudaDevice cuda_device(int index) {
  const cudaDeviceProp properties = properties_of(index);
  const auto [major, minor] = std::pair(properties.major, properties.minor);
  const bool own_code = own_code_runs_on(major, minor);
  const std::string failure = own_code ? first_failure_on(index) : "";
  if (!own_code || failure.find("no kernel image") != std::string::npos) {
    return {major, false,
            std::string(properties.name) + " has compute capability " + std::to_string(major) + "." + std::to_string(minor) +
                ", for which this build of LibTorch or of the addon holds no code (7.0 is the oldest there can be; a V100, which has it, needs a "
                "cu126 build)"};
  }
  return {major, true, failure.empty() ? "" : std::string(properties.name) + " can't be used: " + failure};
}

std::string cuda_card(int index) {
  const cudaUUID_t uuid = properties_of(index).uuid;
  return {std::begin(uuid.bytes), std::end(uuid.bytes)};
}

#else

bool built_with_cuda() { return false; }
std::string cuda_version() { return ""; }
int cudnn_version() { return 0; }
int cuda_device_count() { return 0; }
CudaDevice cuda_device(int) { throw Error(ErrorCode::Device, kNoCudaSide); }
std::string cuda_card(int) { throw Error(ErrorCode::Device, kNoCudaSide); }

#endif

namespace {

int device_index(const std::string& name) {
  constexpr size_t kPrefix = 5;  // "cuda:"
  if (name == "cuda") return 0;
  int index = -1;
  if (name.rfind("cuda:", 0) == 0) {
    const auto [end, failure] = std::from_chars(name.data() + kPrefix, name.data() + name.size(), index);
    if (failure == std::errc() && end == name.data() + name.size() && index >= 0) return index;
  }
  throw Error(ErrorCode::Option, "device must be 'auto', 'cpu', 'cuda' or 'cuda:N', not '" + name + "'");
}

/// Empty when CUDA device `index` can be used, else why not.
std::string cuda_obstacle(int index) {
  if (!built_with_cuda()) return kNoCudaSide + std::string(" (cornernet doctor says what is missing)");
  const int count = cuda_device_count();
  if (count == 0) return "no CUDA device was found (is the NVIDIA driver installed and a GPU visible?)";
  if (index >= count) return "cuda:" + std::to_string(index) + " was asked for, but this process sees " + std::to_string(count) + " CUDA device(s)";
  return cuda_device(index).obstacle;
}

}  // namespace

c10::Device resolve_device(const std::string& name) {
  if (name == "cpu") return c10::Device(c10::kCPU);
  const auto cuda = [](int index) { return c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(index)); };
  if (name == "auto") {
    for (int index = 0; index < cuda_device_count(); ++index) {
      if (cuda_obstacle(index).empty()) return cuda(index);
    }
    return c10::Device(c10::kCPU);
  }
  const int index = device_index(name);
  if (const std::string obstacle = cuda_obstacle(index); !obstacle.empty()) throw Error(ErrorCode::Device, obstacle);
  return cuda(index);
}

bool computes_int8(c10::Device device) {
  return device.is_cpu() && (has_cpu_feature("avx512_vnni") || has_cpu_feature("avx_vnni") || has_cpu_feature("amx_int8"));
}

void require_int8(c10::Device device) {
  if (computes_int8(device)) return;
  throw Error(ErrorCode::Device, device.is_cpu() ? "precision 'int8' needs a CPU with VNNI or AMX; this one has neither: use 'auto', 'bf16' or 'fp32'"
                                                 : "precision 'int8' is for CPUs: use 'fp16' on a GPU, which reads the same file");
}

c10::ScalarType resolve_precision(const std::string& name, c10::Device device) {
  if (name == "auto") return device.is_cuda() ? c10::kHalf : has_cpu_feature("avx512_bf16") ? c10::kBFloat16 : c10::kFloat;
  if (name == "fp32") return c10::kFloat;
  if (name == "fp16") {
    if (device.is_cuda()) return c10::kHalf;
    throw Error(ErrorCode::Device, "precision 'fp16' needs a CUDA device; on the CPU use 'bf16' or 'fp32'");
  }
  if (name == "bf16") {
    // oneDNN emulates bf16 on AVX-512 CPUs without native support; below that it has none.
    if (device.is_cpu() ? has_cpu_feature("avx512f") : cuda_device(device.index()).major >= 8) return c10::kBFloat16;
    throw Error(ErrorCode::Device, device.is_cpu() ? "precision 'bf16' needs a CPU with AVX-512; this one has none: use 'fp32'"
                                                   : "precision 'bf16' needs a GPU of compute capability 8.0 or newer: use 'fp16'");
  }
  throw Error(ErrorCode::Option, "precision must be 'auto', 'fp32', 'bf16', 'fp16' or 'int8', not '" + name + "'");
}

void use_threads(int wanted) {
  const int threads = wanted > 0 ? wanted : usable_cores();
  require_threads(threads - 1);
  at::set_num_threads(threads);  // counts for the calling thread's own OpenMP teams
}

std::string precision_name(c10::ScalarType dtype) {
  if (dtype == c10::kHalf) return "fp16";
  return dtype == c10::kBFloat16 ? "bf16" : "fp32";
}

}  // namespace cornernet
