// Lets a long computation be given up from another thread: the computing thread looks at a flag between its steps.
#pragma once
#include <atomic>

#include "runtime/error.h"

namespace cornernet {

using InterruptFlag = const std::atomic<bool>*;
/// What check_interrupted() looks at on this thread; null is never interrupted.
inline thread_local InterruptFlag interrupt_flag = nullptr;

/// Throws Error(Closed) when this thread's flag is set; or another's, for a thread that helps it.
inline void check_interrupted(InterruptFlag flag = interrupt_flag) {
  if (flag && flag->load(std::memory_order_relaxed))
    throw Error(ErrorCode::Closed, "the computation was given up: it was cancelled or its thread is ending");
}

}  // namespace cornernet
