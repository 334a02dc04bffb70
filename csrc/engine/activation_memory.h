// Memory of a network's activations on the CPU, used again by the next layer and the next forward instead of given back.
#pragma once
#include <cstddef>
#include <cstdint>

#include "runtime/block_arena.h"

namespace cornernet {

/// What LibTorch's CPU allocator hands out while a Use is alive, on the same thread, comes from here and returns here. For one thread at a time.
class ActivationMemory {
 public:
  /// What is idle beyond so many bytes goes back to the system. A forward of a 511x511 view leaves 40 MB in bf16.
  explicit ActivationMemory(size_t most_idle_bytes = size_t{256} << 20);
  ActivationMemory(const ActivationMemory&) = delete;
  ActivationMemory& operator=(const ActivationMemory&) = delete;

  class Use {
   public:
    explicit Use(ActivationMemory& memory);
    ~Use();
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    BlockArena::Use taken_;
  };

  /// Gives all that is idle back to the system.
  void release() { arena_.release(); }
  /// The most bytes that were out at a time since this one began to count.
  int64_t peak_bytes() const { return arena_.peak_bytes(); }
  void count_peak_anew() { arena_.count_peak_anew(); }

 private:
  struct Allocator;

  BlockArena arena_;
};

}  // namespace cornernet
