// Times candidates in turns, so that what disturbs the machine disturbs all of them alike.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

#include "bench/bench.h"

namespace cornernet::bench {

struct Runner {
  std::string name;
  std::function<void()> run;
};

/// Seconds of one of `calls` calls, by the device's own clock.
double seconds_of(at::Device device, const std::function<void()>& run, int calls);

/// How many calls of `run` fill a round of `least_seconds`, after two warm-up calls.
int calls_a_round(at::Device device, const std::function<void()>& run, double least_seconds);

/// Rounds until `seconds` are over, at least kLeastRounds of them. Before each cold call `flush` is written over.
std::vector<Timing> time_in_turns(at::Device device, const std::vector<Runner>& runners, at::Tensor flush, double seconds);

constexpr int kLeastRounds = 5, kMostRounds = 200;

}  // namespace cornernet::bench
