#include "engine/forward_policy.h"

#include <algorithm>
#include <bit>

namespace cornernet {
namespace {

// Of a picture's time in the network, what a forward costs besides its pictures: on a V100 the aim is 33 ms for one and 26 more for each other.
constexpr double kForwardCost = 0.25;
// A new number of pictures pays after so many lost: a quarter of what planning costs, because a size that lost so much is about to recur.
constexpr double kLostBeforeBegun = 3;
// Nothing but this size for so long is a stream of one size; so many forwards in all have lost a good part of the search. An H200 searches for 1.5 to
// 1.9 s whatever the batch, 80 forwards of 16 views or 350 of two, and gains 3% to 10%: it pays after some minutes only.
constexpr int64_t kInARow = 64, kRuns = 512;

}  // namespace

ForwardPolicy::State& ForwardPolicy::state(const Size& size) {
  if (states_.size() == kMostSizes && !states_.contains(size)) states_.clear();
  return states_[size];
}

bool ForwardPolicy::is_known(const Size& size) const {
  const auto found = states_.find(size);
  return found != states_.end() && found->second.runs > 0;
}

ForwardPolicy::Forward ForwardPolicy::next(int64_t pictures, int64_t views, int64_t height_px, int64_t width_px) {
  const auto most = static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(std::max<int64_t>(pictures, 1))));
  const auto size_of = [&](int64_t count) { return Size{views, height_px, width_px, count}; };
  int64_t count = most;
  while (count > 1 && !is_known(size_of(count))) count /= 2;
  if (count < most && is_known(size_of(1))) {  // else the padded size is new
    double& lost = state(size_of(most)).lost;
    lost += (static_cast<double>(most) / static_cast<double>(count) - 1) * kForwardCost;
    if (lost >= kLostBeforeBegun) count = most;
  }
  const Size size = size_of(count);
  State& chosen = state(size);
  in_a_row_ = count < most ? 0 : size == last_ ? in_a_row_ + 1 : 1;  // parts of one batch are no stream
  last_ = size;
  begun_ += chosen.runs == 0 ? 1 : 0;
  const bool search = !chosen.searched && (in_a_row_ > kInARow || chosen.runs >= kRuns);
  ++chosen.runs;
  chosen.searched = chosen.searched || search;
  searched_ += search ? 1 : 0;
  return {count, search, chosen.searched};
}

}  // namespace cornernet
