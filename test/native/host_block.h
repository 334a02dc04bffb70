// Runs the body of a CUDA kernel on the CPU: a fiber for every thread of a block, so that shuffles and syncs mean what they mean on a GPU.
#pragma once
#include <setjmp.h>
#include <ucontext.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <stdexcept>
#include <vector>

namespace cornernet::testing {

/// The order in which the threads between two barriers run; a body that forgets a barrier gives different results.
enum class LaneOrder { Ascending, Descending };

class HostContext;

class HostBlock {
 public:
  HostBlock(int threads, size_t shared_bytes, LaneOrder order) : order_(order), lanes_(threads), shared_((shared_bytes + 15) / 16 + 1) {
    if (threads % 32 != 0) throw std::runtime_error("a block must be made of whole warps");
    block_barrier_.size = threads;
    warp_barriers_.resize(threads / 32);
    for (Barrier& barrier : warp_barriers_) barrier.size = 32;
  }

  /// Barriers that whole blocks have met at so far.
  int64_t syncs() const { return syncs_; }

  /// Runs body(context) for every thread of every block, block after block.
  void run(unsigned blocks, const std::function<void(HostContext&)>& body) {
    body_ = &body;
    for (block_ = 0; block_ < blocks; ++block_) run_one();
  }

 private:
  friend class HostContext;
  struct Barrier {
    int size = 0, arrived = 0, generation = 0;
  };
  struct Lane {
    ucontext_t context;  // enters the fiber; from then on it stops and goes on by jumps, which ask nothing of the kernel
    jmp_buf resume;
    std::vector<char> stack;
    std::array<uint64_t, 2> slots{};
    bool entered = false, done = false;
  };
  struct alignas(16) Sixteen {
    unsigned char bytes[16];
  };

  static void enter(unsigned high, unsigned low, int thread);

  void run_one() {
    const auto self = reinterpret_cast<uintptr_t>(this);
    votes_ = {};
    std::memset(shared_.data(), 0xff, shared_.size() * sizeof(Sixteen));  // NaN: what a body reads before writing shows
    const int count = static_cast<int>(lanes_.size());
    for (int thread = 0; thread < count; ++thread) {
      Lane& lane = lanes_[thread];
      lane.stack.resize(1 << 16);
      lane.entered = lane.done = false;
      getcontext(&lane.context);
      lane.context.uc_stack.ss_sp = lane.stack.data();
      lane.context.uc_stack.ss_size = lane.stack.size();
      lane.context.uc_link = nullptr;
      makecontext(&lane.context, reinterpret_cast<void (*)()>(&HostBlock::enter), 3, static_cast<unsigned>(self >> 32), static_cast<unsigned>(self),
                  thread);
    }
    for (bool left = true; left;) {
      left = false;
      const int64_t before = progress_;
      for (int i = 0; i < count; ++i) {
        current_ = order_ == LaneOrder::Ascending ? i : count - 1 - i;
        if (lanes_[current_].done) continue;
        left = true;
        go_on(lanes_[current_]);
      }
      if (left && progress_ == before) throw std::runtime_error("threads of one block wait at different barriers");
    }
  }

  /// Runs a fiber until it waits or ends. A function of its own, so that no local variable lives across the jump.
  void go_on(Lane& lane) {
    if (_setjmp(scheduler_) != 0) return;
    if (lane.entered) _longjmp(lane.resume, 1);
    lane.entered = true;
    setcontext(&lane.context);
  }

  void wait(Barrier& barrier) {
    ++progress_;
    const int generation = barrier.generation;
    if (++barrier.arrived == barrier.size) {
      barrier.arrived = 0;
      if (&barrier == &block_barrier_) ++syncs_;
      ++barrier.generation;
      return;
    }
    while (barrier.generation == generation) pause(lanes_[current_]);
  }

  void pause(Lane& lane) {
    if (_setjmp(lane.resume) == 0) _longjmp(scheduler_, 1);
  }

  LaneOrder order_;
  std::vector<Lane> lanes_;
  std::vector<Sixteen> shared_;
  Barrier block_barrier_;
  std::array<bool, 3> votes_{};  // of sync_any, by turns
  std::vector<Barrier> warp_barriers_;
  jmp_buf scheduler_;
  const std::function<void(HostContext&)>* body_ = nullptr;
  unsigned block_ = 0;
  int current_ = 0;
  int64_t progress_ = 0, syncs_ = 0;
};

/// csrc/ops/cuda/context.cuh's interface on the host.
class HostContext {
 public:
  HostContext(HostBlock& owner, int thread) : owner_(owner), thread_(thread) {}
  int thread() const { return thread_; }
  int threads() const { return static_cast<int>(owner_.lanes_.size()); }
  unsigned block() const { return owner_.block_; }
  void sync() { owner_.wait(owner_.block_barrier_); }
  bool sync_any(bool yes) {
    const int now = ++syncs_ % 3, before = (syncs_ + 2) % 3;
    if (yes) owner_.votes_[now] = true;
    sync();
    owner_.votes_[before] = false;  // everybody has read those; they are next cast two syncs from here
    return owner_.votes_[now];
  }
  int atomic_add(int* at, int value) { return __atomic_fetch_add(at, value, __ATOMIC_RELAXED); }
  void atomic_max(uint64_t* at, uint64_t value) {
    uint64_t before = look(at);
    while (before < value && !__atomic_compare_exchange_n(at, &before, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
  }
  uint64_t look(const uint64_t* at) { return __atomic_load_n(at, __ATOMIC_RELAXED); }
  unsigned char* shared() { return owner_.shared_[0].bytes; }
  template <typename T>
  T shuffle_up(T value, int lanes) {
    return exchange(value, thread_ % 32 - lanes);
  }
  template <typename T>
  T shuffle_down(T value, int lanes) {
    return exchange(value, thread_ % 32 + lanes);
  }
  template <typename T>
  T shuffle(T value, int lane) {
    return exchange(value, lane % 32);
  }
  unsigned ballot(bool yes) {
    unsigned votes = 0;
    publish(yes ? 1 : 0);
    for (int lane = 0; lane < 32; ++lane) votes |= static_cast<unsigned>(published(lane)) << lane;
    return votes;
  }

 private:
  /// Shuffles from a lane outside the warp give the caller's own value, as on a GPU.
  template <typename T>
  T exchange(T value, int lane) {
    static_assert(sizeof(T) <= sizeof(uint64_t));
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof(T));
    publish(bits);
    if (lane < 0 || lane > 31) return value;
    bits = published(lane);
    std::memcpy(&value, &bits, sizeof(T));
    return value;
  }
  void publish(uint64_t bits) {
    phase_ ^= 1;  // two slots: a quick lane's next value must not cover what a slow lane has yet to read
    owner_.lanes_[thread_].slots[phase_] = bits;
    owner_.wait(owner_.warp_barriers_[thread_ / 32]);
  }
  uint64_t published(int lane) const { return owner_.lanes_[thread_ / 32 * 32 + lane].slots[phase_]; }

  HostBlock& owner_;
  int thread_;
  int phase_ = 0, syncs_ = 0;
};

inline void HostBlock::enter(unsigned high, unsigned low, int thread) {
  auto* owner = reinterpret_cast<HostBlock*>(static_cast<uintptr_t>(high) << 32 | low);
  HostContext context(*owner, thread);
  (*owner->body_)(context);
  owner->lanes_[thread].done = true;
  ++owner->progress_;
  _longjmp(owner->scheduler_, 1);
}

}  // namespace cornernet::testing
