#include "engine/device.h"

#include <charconv>

#include "engine/cuda_devices.h"
#include "runtime/error.h"
#include "runtime/machine.h"

namespace cornernet {
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
  if (!built_with_cuda()) return "this build has no CUDA side (cornernet doctor says what is missing)";
  const int count = cuda_device_count();
  if (count == 0) return "no CUDA device was found (is the NVIDIA driver installed and a GPU visible?)";
  if (index >= count) return "cuda:" + std::to_string(index) + " was asked for, but this process sees " + std::to_string(count) + " CUDA device(s)";
  const CudaDevice device = cuda_device(index);
  if (!device.has_code) {
    return device.name + " has compute capability " + std::to_string(device.major) + "." + std::to_string(device.minor) +
           ", for which this build of LibTorch or of the addon holds no code (a V100 needs a cu126 build of LibTorch)";
  }
  return "";
}

}  // namespace

c10::Device resolve_device(const std::string& name) {
  if (name == "cpu") return c10::Device(c10::kCPU);
  const int index = name == "auto" ? 0 : device_index(name);
  const std::string obstacle = cuda_obstacle(index);
  if (obstacle.empty()) return c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(index));
  if (name == "auto") return c10::Device(c10::kCPU);
  throw Error(ErrorCode::Device, obstacle);
}

c10::ScalarType resolve_precision(const std::string& name, c10::Device device) {
  const bool native_bf16 = device.is_cpu() ? has_cpu_feature("avx512_bf16") : cuda_device(device.index()).major >= 8;
  if (name == "auto") return device.is_cuda() ? c10::kHalf : native_bf16 ? c10::kBFloat16 : c10::kFloat;
  if (name == "fp32") return c10::kFloat;
  if (name == "fp16") {
    if (device.is_cuda()) return c10::kHalf;
    throw Error(ErrorCode::Device, "precision 'fp16' needs a CUDA device; on the CPU use 'bf16' or 'fp32'");
  }
  if (name == "bf16") {
    // oneDNN emulates bf16 on AVX-512 CPUs without native support; below that it has none.
    if (native_bf16 || (device.is_cpu() && has_cpu_feature("avx512f"))) return c10::kBFloat16;
    throw Error(ErrorCode::Device, device.is_cpu() ? "precision 'bf16' needs a CPU with AVX-512; this one has none: use 'fp32'"
                                                   : "precision 'bf16' needs a GPU of compute capability 8.0 or newer: use 'fp16'");
  }
  throw Error(ErrorCode::Option, "precision must be 'auto', 'fp32', 'bf16' or 'fp16', not '" + name + "'");
}

std::string precision_name(c10::ScalarType dtype) {
  if (dtype == c10::kHalf) return "fp16";
  return dtype == c10::kBFloat16 ? "bf16" : "fp32";
}

}  // namespace cornernet
