// What an error of LibTorch's means, by the words that it, CUDA, cuDNN and oneDNN use for it: the one place that knows them.
#pragma once
#include <algorithm>
#include <initializer_list>
#include <string_view>

namespace cornernet {

enum class Failure { Other, Memory, NoEngine, Device };

/// NoEngine: cuDNN has no way to compute this, or none with the workspace that it could get.
inline Failure failure_of(std::string_view what) {
  const auto has_one_of = [what](std::initializer_list<std::string_view> words) {
    return std::ranges::any_of(words, [what](std::string_view word) { return what.find(word) != std::string_view::npos; });
  };
  // The CPU's allocator has no error class of its own; cuBLAS and cuDNN name a status, another one where a full device leaves no memory for their
  // handles; oneDNN says so when it has no memory for a primitive's code.
  if (has_one_of({"DefaultCPUAllocator", "out of memory", "STATUS_ALLOC_FAILED", "ALLOCATION_FAILED", "STATUS_NOT_INITIALIZED",
                  "could not create a primitive"}) &&
      !has_one_of({"could not create a primitive descriptor"}))
    return Failure::Memory;
  if (has_one_of({"nable to find an engine", "CUDNN_STATUS_NOT_SUPPORTED", "No valid engine configs"})) return Failure::NoEngine;
  // LibTorch begins every failure of the CUDA runtime and of cuDNN so; another replica's device may be well.
  if (has_one_of({"CUDA error", "cuDNN error", "CUDA driver error"})) return Failure::Device;
  return Failure::Other;
}

}  // namespace cornernet
