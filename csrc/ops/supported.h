// What the operators run on: refuses other devices and element types with a sentence, before a kernel sees their memory.
#pragma once
#include <ATen/core/Tensor.h>

#include <string>

#include "runtime/error.h"

namespace cornernet {

/// Throws Error(Input) unless `tensor` is fp32, fp16 or bf16 on the CPU or a CUDA device, or fp64 on the CPU; Error(Device) for a CUDA tensor in
/// a build without the CUDA side.
inline void check_supported(const at::Tensor& tensor, const std::string& what) {
  if (!tensor.defined()) throw Error(ErrorCode::Input, what + ": a tensor is missing");
  const std::string device = tensor.device().str();
  if (!tensor.is_cpu() && !tensor.is_cuda()) throw Error(ErrorCode::Input, what + ": device " + device + " is not supported");
#ifndef CORNERNET_CUDA
  if (tensor.is_cuda()) throw Error(ErrorCode::Device, what + ": this build has no CUDA side");
#endif
  const at::ScalarType type = tensor.scalar_type();
  if (type == at::kFloat || type == at::kHalf || type == at::kBFloat16 || (type == at::kDouble && tensor.is_cpu())) return;
  throw Error(ErrorCode::Input, what + ": dtype " + c10::toString(type) + " is not supported on " + device);
}

}  // namespace cornernet
