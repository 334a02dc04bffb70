#include "engine/device_clock.h"

#include <c10/core/DeviceGuard.h>

namespace cornernet {

DeviceClock::DeviceClock(c10::Device device) : device_(device) {
  if (!device_.is_cpu()) events_.push_back(event_now());
}

c10::Event DeviceClock::event_now() const {
  // Events of the default kind carry no time; BACKEND_DEFAULT ones do.
  c10::Event event(device_.type(), c10::EventFlag::BACKEND_DEFAULT);
  event.record(c10::impl::VirtualGuardImpl(device_.type()).getStream(device_));
  return event;
}

void DeviceClock::lap(size_t key) {
  keys_.push_back(key);
  if (device_.is_cpu()) {
    times_.push_back(Clock::now());
  } else {
    events_.push_back(event_now());
  }
}

std::vector<double> DeviceClock::milliseconds(size_t keys) {
  const c10::DeviceGuard guard(device_);  // any thread reads a clock, and would make a context on a device of its own
  std::vector<double> sums(keys, 0.0);
  if (!events_.empty()) events_.back().synchronize();
  for (size_t i = 0; i < keys_.size(); ++i) {
    if (device_.is_cpu()) {
      sums[keys_[i]] += std::chrono::duration<double, std::milli>(times_[i] - (i == 0 ? begun_ : times_[i - 1])).count();
    } else {
      sums[keys_[i]] += events_[i].elapsedTime(events_[i + 1]);
    }
  }
  events_.clear();
  keys_.clear();
  return sums;
}

}  // namespace cornernet
