// The CUDA devices this process sees, and which device and precision a request means on this machine.
#pragma once
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <string>

#include "engine/detector.h"

namespace cornernet {

bool built_with_cuda();
/// LibTorch's CUDA version ("13.0"), empty without.
std::string cuda_version();
/// Of the cuDNN that LibTorch found, 91002 for 9.10.2; 0 without.
int cudnn_version();
int cuda_device_count();
/// Proven by running one of LibTorch's kernels and looking up ours, which costs a CUDA context.
CudaDevice cuda_device(int index);
/// By which a device is known on every machine.
std::string cuda_card(int index);

/// "auto" may choose the CPU; "cuda" and "cuda:N" never fall back: Error(Device) says why they can't be had. Error(Option) for other words.
c10::Device resolve_device(const std::string& name);

/// Whether convolutions of 8 bits are exact and fast here: on CPUs with VNNI or AMX.
bool computes_int8(c10::Device device);
/// Error(Device) unless it does.
void require_int8(c10::Device device);

/// "auto" is fp16 on CUDA, bf16 on a CPU with native bf16, else fp32. Error(Device) when the device can't compute in it.
c10::ScalarType resolve_precision(const std::string& name, c10::Device device);

/// So many CPU threads, 0 for the cores that the process may use, for what the calling thread computes from now on. Error(OutOfMemory) when the
/// system doesn't let it have them.
void use_threads(int wanted);

/// "fp32", "bf16" or "fp16".
std::string precision_name(c10::ScalarType dtype);

}  // namespace cornernet
