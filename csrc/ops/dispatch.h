// What the operators run on: refuses other devices and element types with a sentence, before a kernel sees their memory, and picks the kernel.
#pragma once
#include <ATen/core/Tensor.h>

#include <string>

#include "ops/cpu/kernels.h"
#include "ops/cuda/kernels.h"
#include "runtime/error.h"

#ifdef CORNERNET_CUDA
#include "ops/cuda/stream.h"
#endif

namespace cornernet {

namespace cuda {

inline Scalar scalar_of(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kFloat:
      return Scalar::Float32;
    case at::kHalf:
      return Scalar::Float16;
    case at::kBFloat16:
      return Scalar::BFloat16;
    default:
      throw Error(ErrorCode::Input, std::string("no CUDA kernel takes dtype ") + c10::toString(tensor.scalar_type()));
  }
}

}  // namespace cuda

/// Throws Error(Input) unless `tensor` is fp32, fp16 or bf16 on the CPU or a CUDA device, or fp64 on the CPU; Error(Device) for a CUDA tensor in
/// a build without the CUDA side.
inline void check_supported(const at::Tensor& tensor, const std::string& what) {
  if (!tensor.defined()) throw Error(ErrorCode::Input, what + ": a tensor is missing");
  const std::string device = tensor.device().str();
  if (!tensor.is_cpu() && !tensor.is_cuda()) throw Error(ErrorCode::Input, what + ": device " + device + " is not supported");
#ifndef CORNERNET_CUDA
  if (tensor.is_cuda()) throw Error(ErrorCode::Device, what + ": " + kNoCudaSide);
#endif
  const at::ScalarType type = tensor.scalar_type();
  if (type == at::kFloat || type == at::kHalf || type == at::kBFloat16 || (type == at::kDouble && tensor.is_cpu())) return;
  throw Error(ErrorCode::Input, what + ": dtype " + c10::toString(type) + " is not supported on " + device);
}

inline bool channels_last(const at::Tensor& x) { return x.is_contiguous(at::MemoryFormat::ChannelsLast) && !x.is_contiguous(); }

/// The layout, dense, that a tensor has or comes closest to.
inline at::MemoryFormat format_of(const at::Tensor& x) { return channels_last(x) ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous; }

/// Calls launch(scalar, stream) of a CUDA kernel where `y` is, or compute() on the CPU; nothing for an empty `y`, which it returns.
template <typename Launch, typename Compute>
at::Tensor run_where(at::Tensor y, [[maybe_unused]] const Launch& launch, const Compute& compute) {
  if (y.numel() == 0) return y;
#ifdef CORNERNET_CUDA
  if (y.is_cuda()) {
    cuda::launch(y, [&](void* stream) { return launch(cuda::scalar_of(y), stream); });
    return y;
  }
#endif
  compute();
  return y;
}

}  // namespace cornernet
