#include "engine/device_memory.h"

#include <algorithm>

#include "runtime/machine.h"

namespace cornernet {
namespace {

constexpr double kUsableShare = 0.9;

}  // namespace

int64_t available_bytes(DeviceRuntime* runtime) {
  int64_t bytes = 0;
  if (runtime == nullptr) {
    bytes = available_memory_bytes();
  } else {
    const auto [free, reserved, allocated, peak] = runtime->memory();
    bytes = std::max<int64_t>(0, free + reserved - allocated - runtime->shared().recordings_idle_bytes);
  }
  return static_cast<int64_t>(kUsableShare * static_cast<double>(bytes));
}

PeakMemory::PeakMemory(DeviceRuntime* runtime, ActivationMemory& activations) : runtime_(runtime), activations_(activations) {
  if (runtime_ == nullptr) {
    activations_.count_peak_anew();
  } else {
    runtime_->count_peak_anew();
    before_ = runtime_->memory().allocated;
  }
}

int64_t PeakMemory::bytes() const { return runtime_ == nullptr ? activations_.peak_bytes() : runtime_->memory().peak_allocated - before_; }

}  // namespace cornernet
