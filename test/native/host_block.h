// Runs the body of a CUDA kernel on the CPU: a fiber for every thread of a block, so that shuffles and syncs mean what they mean on a GPU.
#pragma once
#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <numeric>
#include <random>
#include <stdexcept>
#include <vector>

// Under ThreadSanitizer every thread of a block is one of its fibers, which nothing orders but barriers: a body that forgets one is reported,
// whatever it gives. What makes fibers and barriers is none of its business.
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#define CORNERNET_UNSEEN __attribute__((no_sanitize("thread"), noinline))
#else
#define CORNERNET_UNSEEN
#endif

namespace cornernet::testing {

/// The order in which the threads between two barriers run; a body that forgets a barrier gives different results. Random ones change from each
/// round of the block to the next.
enum class LaneOrder { Ascending, Descending, Random };

class HostContext;

class HostBlock {
 public:
  HostBlock(int threads, size_t shared_bytes, LaneOrder order, unsigned seed = 0)
      : order_(order), random_(seed), lanes_(threads), turns_(threads), shared_bytes_(shared_bytes) {
    if (threads % 32 != 0) throw std::runtime_error("a block must be made of whole warps");
    block_barrier_.size = threads;
    warp_barriers_.resize(threads / 32);
    for (Barrier& barrier : warp_barriers_) barrier.size = 32;
    std::iota(turns_.begin(), turns_.end(), 0);
    if (order == LaneOrder::Descending) std::ranges::reverse(turns_);
#ifdef __SANITIZE_THREAD__
    scheduler_fiber_ = __tsan_get_current_fiber();
    for (Lane& lane : lanes_) lane.fiber = __tsan_create_fiber(0);
#endif
  }
  ~HostBlock() {
#ifdef __SANITIZE_THREAD__
    for (Lane& lane : lanes_) __tsan_destroy_fiber(lane.fiber);
#endif
  }
  HostBlock(const HostBlock&) = delete;
  HostBlock& operator=(const HostBlock&) = delete;

  /// Barriers that whole blocks have met at so far.
  int64_t syncs() const { return syncs_; }

  /// Runs body(context) for every thread of every block, block after block.
  void run(unsigned blocks, const std::function<void(HostContext&)>& body) {
    body_ = &body;
    for (block_ = 0; block_ < blocks; ++block_) run_one();
    join();
  }
  /// The same for some blocks of a grid, in their order.
  void run_some(const std::vector<unsigned>& blocks, const std::function<void(HostContext&)>& body) {
    body_ = &body;
    for (const unsigned block : blocks) {
      block_ = block;
      run_one();
    }
    join();
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
#ifdef __SANITIZE_THREAD__
    void* fiber;
#endif
    std::array<uint64_t, 2> slots{};
    bool entered = false, done = false;
  };
  struct Free {
    void operator()(unsigned char* memory) const { std::free(memory); }
  };

  static void enter(unsigned high, unsigned low, int thread);

  /// Shared memory of exactly the block's size, of its own for each block: a sanitizer sees who leaves it, and no block's threads meet another's.
  CORNERNET_UNSEEN void renew_shared() {
    void* memory = nullptr;
    if (posix_memalign(&memory, 16, std::max<size_t>(shared_bytes_, 1)) != 0) throw std::bad_alloc();
    std::memset(memory, 0xff, shared_bytes_);  // NaN: what a body reads before writing shows
#ifndef __SANITIZE_THREAD__
    shared_.clear();
#endif
    shared_.emplace_back(static_cast<unsigned char*>(memory));
    now_shared_ = shared_.back().get();
  }

  CORNERNET_UNSEEN void run_one() {
    const auto self = reinterpret_cast<uintptr_t>(this);
    votes_ = {};
    renew_shared();
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
#ifdef __SANITIZE_THREAD__
    __tsan_release(&begun_);
#endif
    for (bool left = true; left;) {
      left = false;
      const int64_t before = progress_;
      if (order_ == LaneOrder::Random) shuffle_turns();
      for (int i = 0; i < count; ++i) {
        current_ = turns_[i];
        if (lanes_[current_].done) continue;
        left = true;
        go_on(lanes_[current_]);
      }
      if (left && progress_ == before) throw std::runtime_error("threads of one block wait at different barriers");
    }
  }

  /// Whoever reads a grid's results follows all of its threads.
  void join() {
#ifdef __SANITIZE_THREAD__
    __tsan_acquire(&done_);
#endif
  }

  void shuffle_turns() { std::ranges::shuffle(turns_, random_); }

  /// Runs a fiber until it waits or ends. A function of its own, so that no local variable lives across the jump.
  CORNERNET_UNSEEN void go_on(Lane& lane) {
#ifdef __SANITIZE_THREAD__
    __tsan_switch_to_fiber(lane.fiber, __tsan_switch_to_fiber_no_sync);
    swapcontext(&scheduler_context_, &lane.context);
    return;
#endif
    if (_setjmp(scheduler_) != 0) return;
    if (lane.entered) _longjmp(lane.resume, 1);
    lane.entered = true;
    setcontext(&lane.context);
  }

  CORNERNET_UNSEEN void wait(Barrier& barrier) {
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

  CORNERNET_UNSEEN void pause(Lane& lane) {
#ifdef __SANITIZE_THREAD__
    __tsan_switch_to_fiber(scheduler_fiber_, __tsan_switch_to_fiber_no_sync);
    swapcontext(&lane.context, &scheduler_context_);
    return;
#endif
    if (_setjmp(lane.resume) == 0) _longjmp(scheduler_, 1);
  }

  LaneOrder order_;
  std::mt19937 random_;
  std::vector<Lane> lanes_;
  std::vector<int> turns_;
  size_t shared_bytes_;
  std::vector<std::unique_ptr<unsigned char, Free>> shared_;
  unsigned char* now_shared_ = nullptr;  // the block's
  Barrier block_barrier_;
  std::array<bool, 3> votes_{};  // of sync_any, by turns
  std::vector<Barrier> warp_barriers_;
  jmp_buf scheduler_;
#ifdef __SANITIZE_THREAD__
  ucontext_t scheduler_context_;
  void* scheduler_fiber_;
  char begun_ = 0, done_ = 0;  // what orders a grid's threads with the host
#endif
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
  CORNERNET_UNSEEN unsigned block() const { return owner_.block_; }
  /// Orders the block's threads; shuffles order no memory, as on a GPU.
  void sync() {
#ifdef __SANITIZE_THREAD__
    __tsan_release(&owner_.block_barrier_);
    owner_.wait(owner_.block_barrier_);
    __tsan_acquire(&owner_.block_barrier_);
#else
    owner_.wait(owner_.block_barrier_);
#endif
  }
  CORNERNET_UNSEEN bool sync_any(bool yes) {
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
  CORNERNET_UNSEEN unsigned char* shared() { return owner_.now_shared_; }
  template <typename T>
  T shuffle_up(T value, int lanes) {
    return exchange(value, thread_ % 32 - lanes);
  }
  template <typename T>
  T shuffle(T value, int lane) {
    return exchange(value, lane % 32);
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
  CORNERNET_UNSEEN void publish(uint64_t bits) {
    phase_ ^= 1;  // two slots: a quick lane's next value must not cover what a slow lane has yet to read
    owner_.lanes_[thread_].slots[phase_] = bits;
    owner_.wait(owner_.warp_barriers_[thread_ / 32]);
  }
  CORNERNET_UNSEEN uint64_t published(int lane) const { return owner_.lanes_[thread_ / 32 * 32 + lane].slots[phase_]; }

  HostBlock& owner_;
  int thread_;
  int phase_ = 0, syncs_ = 0;
};

CORNERNET_UNSEEN inline void HostBlock::enter(unsigned high, unsigned low, int thread) {
  auto* owner = reinterpret_cast<HostBlock*>(static_cast<uintptr_t>(high) << 32 | low);
  Lane& lane = owner->lanes_[thread];
#ifdef __SANITIZE_THREAD__
  __tsan_acquire(&owner->begun_);
#endif
  HostContext context(*owner, thread);
  (*owner->body_)(context);
  lane.done = true;
  ++owner->progress_;
#ifdef __SANITIZE_THREAD__
  __tsan_release(&owner->done_);
  owner->pause(lane);
#else
  _longjmp(owner->scheduler_, 1);
#endif
}

}  // namespace cornernet::testing
