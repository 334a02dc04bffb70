// Lets a long computation be given up from another thread: the computing thread looks at a flag between its steps.
#pragma once
#include <atomic>

namespace cornernet {

/// The flag that check_interrupted() looks at on this thread; null (the default) means never interrupted.
void watch_interrupt(const std::atomic<bool>* flag);

/// Throws Error(Closed) when this thread's flag is set.
void check_interrupted();

}  // namespace cornernet
