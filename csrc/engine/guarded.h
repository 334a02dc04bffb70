// The border that LibTorch's own exceptions don't cross.
#pragma once
#include <c10/core/InferenceMode.h>
#include <c10/util/Exception.h>

#include <new>
#include <string>

#include "runtime/error.h"

namespace cornernet {

/// Runs `body` so that whatever LibTorch throws leaves as a cornernet::Error. Without `inference` its tensors can be differentiated.
template <typename Body>
auto guarded(Body body, bool inference = true) {
  try {
    const c10::InferenceMode mode(inference);
    return body();
  } catch (const Error&) {
    throw;
  } catch (const c10::OutOfMemoryError& error) {
    throw Error(ErrorCode::OutOfMemory, error.what_without_backtrace());
  } catch (const c10::Error& error) {
    const std::string what = error.what_without_backtrace();
    // The CPU allocator has no error class of its own.
    const bool memory = what.find("DefaultCPUAllocator") != std::string::npos || what.find("out of memory") != std::string::npos;
    // LibTorch begins every failure of the CUDA runtime and of cuDNN so; another replica's device may be well.
    const bool device = what.find("CUDA error") != std::string::npos || what.find("cuDNN error") != std::string::npos;
    throw Error(memory ? ErrorCode::OutOfMemory : device ? ErrorCode::Device : ErrorCode::Internal, what);
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::OutOfMemory, "the process could not get the memory that this call needs");
  } catch (const std::exception& error) {
    // oneDNN's word for having no memory for a primitive's code; what it can't compute at all fails at the primitive's descriptor.
    const bool memory = std::string(error.what()) == "could not create a primitive";
    throw Error(memory ? ErrorCode::OutOfMemory : ErrorCode::Internal, error.what());
  }
}

}  // namespace cornernet
