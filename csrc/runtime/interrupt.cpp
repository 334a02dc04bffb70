#include "runtime/interrupt.h"

#include "runtime/error.h"

namespace cornernet {
namespace {

thread_local const std::atomic<bool>* watched = nullptr;

}  // namespace

void watch_interrupt(const std::atomic<bool>* flag) { watched = flag; }

void check_interrupted() {
  if (watched && watched->load(std::memory_order_relaxed))
    throw Error(ErrorCode::Closed, "the computation was given up: it was cancelled or its thread is ending");
}

}  // namespace cornernet
