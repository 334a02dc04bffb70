// Times candidates against each other in one run: interleaved, so that what disturbs the machine disturbs all of them alike.
#pragma once
#include <algorithm>
#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace cornernet::bench {

struct Candidate {
  std::string name;
  std::function<void()> run;
  std::vector<double> seconds;  // a round each

  double median() const {
    std::vector<double> sorted = seconds;
    std::sort(sorted.begin(), sorted.end());
    return sorted[sorted.size() / 2];
  }
};

/// Runs every candidate once in each of `rounds` rounds after two warm-up rounds. `settle` waits for the device; a round of a quick candidate is as
/// many calls as fill `least_seconds`.
inline void time_interleaved(std::vector<Candidate>& candidates, int rounds, double least_seconds, const std::function<void()>& settle) {
  using Clock = std::chrono::steady_clock;
  const auto seconds_of = [&](const Candidate& candidate, int calls) {
    settle();
    const auto begin = Clock::now();
    for (int i = 0; i < calls; ++i) candidate.run();
    settle();
    return std::chrono::duration<double>(Clock::now() - begin).count() / calls;
  };
  std::vector<int> calls;
  for (Candidate& candidate : candidates) {
    seconds_of(candidate, 1);
    calls.push_back(std::clamp(static_cast<int>(least_seconds / std::max(seconds_of(candidate, 1), 1e-7)), 1, 1000));
  }
  for (int round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < candidates.size(); ++i) candidates[i].seconds.push_back(seconds_of(candidates[i], calls[i]));
  }
}

}  // namespace cornernet::bench
