// The border that LibTorch's own exceptions don't cross.
#pragma once
#include <c10/core/InferenceMode.h>
#include <c10/util/Exception.h>

#include <new>
#include <string>

#include "ops/failure.h"
#include "runtime/error.h"

namespace cornernet {

inline Error error_of(const std::string& what) {
  switch (failure_of(what)) {
    case Failure::Memory:
    case Failure::NoEngine:  // of a layer that had neither a fused nor a plain way: workspace is what lacks
      return {ErrorCode::OutOfMemory, what};
    case Failure::Device:
      return {ErrorCode::Device, what};
    case Failure::Other:
      break;
  }
  return {ErrorCode::Internal, what};
}

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
    throw error_of(error.what_without_backtrace());
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::OutOfMemory, "the process could not get the memory that this call needs");
  } catch (const std::exception& error) {
    throw error_of(error.what());
  }
}

}  // namespace cornernet
