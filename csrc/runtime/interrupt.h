// Lets a long computation be given up from another thread: the computing thread looks at a flag between its steps.
#pragma once
#include <atomic>

#include "runtime/error.h"

namespace cornernet {

/// What check_interrupted() looks at on this thread; null is never interrupted.
inline thread_local const std::atomic<bool>* interrupt_flag = nullptr;

/// Throws Error(Closed) when this thread's flag is set.
inline void check_interrupted() {
  if (interrupt_flag && interrupt_flag->load(std::memory_order_relaxed))
    throw Error(ErrorCode::Closed, "the computation was given up: it was cancelled or its thread is ending");
}

}  // namespace cornernet
