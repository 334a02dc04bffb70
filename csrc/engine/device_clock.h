// Spans of time on a device: CUDA events on its stream, the steady clock on the CPU.
#pragma once
#include <c10/core/Device.h>
#include <c10/core/Event.h>

#include <chrono>
#include <utility>
#include <vector>

namespace cornernet {

/// Begins when it is made. Laps cost no synchronisation; reading them waits for the device.
class DeviceClock {
 public:
  explicit DeviceClock(c10::Device device);
  /// What the device was given since the last lap counts for `key`.
  void lap(size_t key);
  /// The sum of the laps of each key below `keys`; once.
  std::vector<double> milliseconds(size_t keys);
  /// The beginning, in milliseconds of CLOCK_MONOTONIC (Node's process.hrtime).
  double begun_ms() const { return std::chrono::duration<double, std::milli>(begun_.time_since_epoch()).count(); }

 private:
  using Clock = std::chrono::steady_clock;
  c10::Event event_now() const;

  c10::Device device_;
  Clock::time_point begun_ = Clock::now();
  std::vector<size_t> keys_;
  std::vector<Clock::time_point> times_;  // on the CPU
  std::vector<c10::Event> events_;        // on CUDA; one more than laps
};

}  // namespace cornernet
