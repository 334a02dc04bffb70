#include "bench/rounds.h"

#include <algorithm>
#include <chrono>

#include "engine/device_clock.h"
#include "runtime/interrupt.h"

namespace cornernet::bench {
namespace {

constexpr double kLeastSeconds = 0.005;  // of back-to-back calls: long against the clock's microsecond and an event's
constexpr int kMostCalls = 1000;

}  // namespace

double seconds_of(at::Device device, const std::function<void()>& run, int calls) {
  DeviceClock clock(device);
  for (int i = 0; i < calls; ++i) run();
  clock.lap(0);
  return clock.milliseconds(1)[0] / 1000 / calls;
}

int calls_a_round(at::Device device, const std::function<void()>& run, double least_seconds) {
  seconds_of(device, run, 1);
  const double once = std::max(seconds_of(device, run, 1), 1e-7);
  return static_cast<int>(std::clamp(least_seconds / once, 1.0, static_cast<double>(kMostCalls)));
}

std::vector<Timing> time_in_turns(at::Device device, const std::vector<Runner>& runners, at::Tensor flush, double seconds) {
  using Clock = std::chrono::steady_clock;
  std::vector<Timing> timings;
  std::vector<int> calls;
  for (const Runner& runner : runners) {
    timings.push_back({runner.name, {}, {}});
    calls.push_back(calls_a_round(device, runner.run, kLeastSeconds));
  }
  const auto begin = Clock::now();
  for (int round = 0; round < kMostRounds; ++round) {
    if (round >= kLeastRounds && std::chrono::duration<double>(Clock::now() - begin).count() > seconds) break;
    for (size_t i = 0; i < runners.size(); ++i) {
      check_interrupted();
      timings[i].back_to_back.push_back(seconds_of(device, runners[i].run, calls[i]));
      flush.fill_(static_cast<double>(round % 100));
      timings[i].cold.push_back(seconds_of(device, runners[i].run, 1));
    }
  }
  return timings;
}

}  // namespace cornernet::bench
