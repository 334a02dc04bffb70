// Which sizes forwards take: a stream of COCO-like sizes, simulated with a model of what sizes cost, and what a policy owes to each.
#include "engine/forward_policy.h"

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "test.h"

using namespace cornernet;
using namespace cornernet::testing;

namespace {

/// Padded height and width.
using Padded = std::pair<int64_t, int64_t>;

/// COCO's commonest sizes and their shares in percent (of val2017, rounded; its many rare sizes stand here as a few).
std::vector<Padded> coco_like(size_t pictures, unsigned seed) {
  struct Share {
    int width, height;
    double percent;
  };
  static const std::vector<Share> shares{{640, 480, 23}, {640, 427, 13},  {480, 640, 9},   {640, 426, 6},   {500, 375, 6},  {427, 640, 5},
                                         {640, 424, 4},  {500, 333, 4},   {640, 425, 3},   {640, 360, 3},   {640, 428, 2},  {426, 640, 2},
                                         {375, 500, 2},  {333, 500, 2},   {640, 640, 2},   {612, 612, 2},   {640, 512, 2},  {640, 400, 2},
                                         {640, 320, 1},  {500, 400, 1},   {400, 500, 1},   {500, 500, 1},   {375, 640, 1},  {600, 400, 1},
                                         {400, 600, 1},  {640, 300, 0.5}, {300, 400, 0.5}, {640, 240, 0.5}, {240, 320, 0.5}};
  double all = 0;
  for (const Share& share : shares) all += share.percent;
  std::mt19937 random(seed);
  std::vector<Padded> drawn;
  while (drawn.size() < pictures) {
    double left = static_cast<double>(random()) / 4294967296.0 * all;
    const auto chosen = std::find_if(shares.begin(), shares.end() - 1, [&](const Share& share) { return (left -= share.percent) < 0; });
    drawn.emplace_back(chosen->height | 127, chosen->width | 127);
  }
  return drawn;
}

/// What forwards with flip cost on a V100, in milliseconds. From the aims of 30 pictures/s at batch 1 and 38 at batch 16: 7 ms a forward and 13 a
/// view of 767x511. Assumed: 400 ms to plan a new size's kernels, 25 forwards to search them (LibTorch tries ten plans, each several times), 15% lost
/// without, 60 ms to record, 6 ms to launch what is not recorded. An H200 took 130 to 400 ms to plan, 1.5 to 1.9 s to search, lost 3 to 10%, 5 ms to
/// record and 2 to launch, for forwards that are eight times as fast: there a new size costs what a hundred pictures do, whatever the policy.
class Clock {
 public:
  explicit Clock(bool searches_at_once) : searches_at_once_(searches_at_once) {}

  /// A batch of one padded size, in the policy's forwards or, without one, as it comes.
  void run(int64_t pictures, const Padded& size, ForwardPolicy* policy) {
    while (pictures > 0) {
      const ForwardPolicy::Forward forward =
          policy != nullptr ? policy->next(pictures, 2, size.first, size.second) : ForwardPolicy::Forward{pictures};
      add(2 * forward.pictures, size, forward.search);
      pictures -= forward.pictures;
    }
  }
  static double work(int64_t views, const Padded& size) {
    return (7 + 13 * static_cast<double>(views)) * static_cast<double>(size.first * size.second) / (767 * 511);
  }
  double now() const { return now_; }

 private:
  struct Known {
    int runs = 0;
    bool searched = false, recorded = false;
  };

  void add(int64_t views, const Padded& size, bool search) {
    Known& known = known_[{views, size}];
    search = search || (searches_at_once_ && known.runs == 0);
    if (search) {
      known.searched = true;
      known.recorded = false;
      now_ += 25 * work(views, size) + 400;
    } else {
      now_ += work(views, size) * (known.searched ? 1 : 1.15);
      if (known.runs == 0) now_ += 400;
      if (known.runs <= 1) now_ += 6;
      if (known.runs > 1 && !std::exchange(known.recorded, true)) now_ += 60;
    }
    ++known.runs;
  }

  bool searches_at_once_;
  std::map<std::pair<int64_t, Padded>, Known> known_;
  double now_ = 0;
};

/// When each picture's result is there. Batches form as lib/detector/batches.ts forms them when decoding is never late: `window` pictures wait or are
/// computed, full batches go first, those that have waited the longest before others; results leave in order.
std::vector<double> stream(const std::vector<Padded>& pictures, size_t window, Clock& clock, ForwardPolicy* policy) {
  constexpr size_t kBatch = 8;
  std::map<Padded, std::vector<size_t>> queues;
  std::vector<double> done(pictures.size(), -1);
  size_t taken = 0, head = 0;
  while (head < pictures.size()) {
    for (; taken < pictures.size() && taken < head + window; ++taken) queues[pictures[taken]].push_back(taken);
    const auto next = std::min_element(queues.begin(), queues.end(), [](const auto& a, const auto& b) {
      return std::pair(a.second.size() < kBatch, a.second.front()) < std::pair(b.second.size() < kBatch, b.second.front());
    });
    auto& [size, queue] = *next;
    const std::vector<size_t> batch(queue.begin(), queue.begin() + static_cast<std::ptrdiff_t>(std::min(queue.size(), kBatch)));
    queue.erase(queue.begin(), queue.begin() + static_cast<std::ptrdiff_t>(batch.size()));
    clock.run(static_cast<int64_t>(batch.size()), size, policy);
    if (queue.empty()) queues.erase(next);
    for (const size_t i : batch) done[i] = clock.now();
    while (head < pictures.size() && done[head] >= 0) ++head;
  }
  return done;
}

/// Of the pictures from the 200th on: the rate in shares of what one size alone reaches, searched and recorded, with as many pixels.
double share_after_200(const std::vector<Padded>& pictures, const std::vector<double>& done) {
  double ideal = 0;
  for (size_t i = 200; i < pictures.size(); ++i) ideal += Clock::work(16, pictures[i]) / 8;
  return ideal / (*std::max_element(done.begin(), done.end()) - *std::max_element(done.begin(), done.begin() + 200));
}

constexpr size_t kWindow = 64;  // of detectAll on CUDA

const Registration coco("forward policy: 500 pictures of COCO-like sizes run at four fifths of one size's rate after 200 (simulated)", [] {
  double with = 0, without = 0, narrow = 0;
  constexpr unsigned kStreams = 20;
  for (unsigned seed = 1; seed <= kStreams; ++seed) {
    const auto pictures = coco_like(500, seed);
    ForwardPolicy policy, other;
    Clock clock(false), naive(true), small(false);
    with += share_after_200(pictures, stream(pictures, kWindow, clock, &policy)) / kStreams;
    narrow += share_after_200(pictures, stream(pictures, 16, small, &other)) / kStreams;
    without += share_after_200(pictures, stream(pictures, 16, naive, nullptr)) / kStreams;
  }
  // What there was before: each size as it comes, searched at once, and two batches ahead.
  check(with >= 0.8 && without < 0.4 && narrow < with, with, " of one size's rate, ", narrow, " with two batches ahead, ", without,
        " without the policy");
});

const Registration one_size("forward policy: one size is searched soon, and costs nothing afterwards", [] {
  ForwardPolicy policy;
  int64_t forwards = 0, pictures = 0;
  while (policy.searched() == 0 && pictures < 2000) {
    const auto forward = policy.next(8, 2, 511, 767);
    pictures += forward.pictures;
    ++forwards;
  }
  check(pictures > 256 && pictures <= 600, "the search came after ", pictures, " pictures");
  for (int i = 0; i < 1000; ++i) {
    const auto forward = policy.next(8, 2, 511, 767);
    check(forward.pictures == 8 && !forward.search, "a forward of ", forward.pictures, forward.search ? ", searched" : "");
  }
  check(policy.begun() == 2 && policy.searched() == 1, policy.begun(), " sizes were begun and ", policy.searched(), " searched");
});

const Registration seen_once("forward policy: sizes seen once are never searched, and none is begun for a tail", [] {
  ForwardPolicy policy;
  std::mt19937 random(3);
  for (int64_t i = 0; i < 5000; ++i) {
    int64_t left = 1 + static_cast<int64_t>(random() % 32);
    while (left > 0) {
      const auto forward = policy.next(left, 1, 127 + 128 * (i % 71), 127 + 128 * i);
      check(!forward.search, "a size seen once was searched");
      check(forward.pictures >= 1 && forward.pictures <= left, forward.pictures, " of ", left);
      left -= forward.pictures;
    }
  }
  std::set<int64_t> numbers;
  ForwardPolicy tails;
  for (int i = 0; i < 3000; ++i) {
    for (int64_t left = 1 + static_cast<int64_t>(random() % 8); left > 0;) {
      const auto forward = tails.next(left, 2, 511, 767);
      numbers.insert(forward.pictures);
      left -= forward.pictures;
    }
  }
  check(numbers == std::set<int64_t>{1, 2, 4, 8}, numbers.size(), " numbers of pictures");
});

}  // namespace
