// Memory of a network's activations on the CPU, used again by the next layer and the next forward instead of given back.
#pragma once
#include <cstddef>
#include <cstdint>
#include <list>
#include <unordered_map>

namespace cornernet {

/// What LibTorch's CPU allocator hands out while a Use is alive, on the same thread, comes from here and returns here. For one thread at a time.
/// malloc alone either clears fresh pages for every map, a quarter of a forward's time in bf16, or (glibc's habit, once it has seen large blocks
/// freed) keeps maps and packed weights of all sizes side by side in its heaps, which then grow to several times what is in them.
class ActivationMemory {
 public:
  /// What has been idle the longest goes back to the system beyond so many bytes. A forward of a 511x511 view leaves 60 MB in bf16.
  explicit ActivationMemory(size_t most_idle_bytes = size_t{256} << 20);
  ~ActivationMemory();
  ActivationMemory(const ActivationMemory&) = delete;
  ActivationMemory& operator=(const ActivationMemory&) = delete;

  class Use {
   public:
    explicit Use(ActivationMemory& memory);
    ~Use();
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
  };

  /// Gives all that is idle back to the system.
  void release();
  /// The most bytes that were out at a time since this one began to count.
  int64_t peak_bytes() const { return peak_bytes_; }
  void count_peak_anew();

 private:
  struct Allocator;
  struct Block {
    void* data;
    size_t bytes;  // what it really holds
  };

  /// An idle block that fits, or null.
  void* take(size_t bytes);
  void note(void* block, size_t bytes);
  void give(void* block);

  size_t most_idle_bytes_;
  std::list<Block> idle_;  // the longest idle first
  size_t idle_bytes_ = 0;
  std::unordered_map<void*, int64_t> out_;  // bytes asked for
  int64_t out_bytes_ = 0, peak_bytes_ = 0;
};

}  // namespace cornernet
