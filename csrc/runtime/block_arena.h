// Memory for blocks of all sizes that come and go by the hundred in every forward, such as a network's maps.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace cornernet {

/// Cuts blocks from large chunks of address space, always as near to a chunk's beginning as they fit, and joins free neighbours again: what a map of
/// one size leaves serves two of half its size, and what is written, which alone takes memory, stays near the most that was needed at a time.
/// Blocks that malloc keeps by size come to twice that; given back to the system, they cost a quarter of a forward's time in fresh pages.
class BlockArena {
 public:
  /// What is idle beyond so many bytes goes back to the system.
  explicit BlockArena(size_t most_idle_bytes) : most_idle_bytes_(most_idle_bytes) {}
  /// Blocks that are still out stay whole until they are given back.
  ~BlockArena();
  BlockArena(const BlockArena&) = delete;
  BlockArena& operator=(const BlockArena&) = delete;

  /// At least so many bytes, from 1 on, at the beginning of a page; null when the system has none, not even for what is idle.
  void* take(size_t bytes);
  /// On any thread; false for what is no arena's.
  static bool give_back(void* block);

  /// Gives the system all that is idle.
  void release();
  /// Bytes that were written and are not out, as far as they did not go back.
  size_t idle_bytes() const;

  /// The most bytes that were out at a time since this arena began to count; what was taken before counts no more.
  int64_t peak_bytes() const;
  void count_peak_anew();

  /// Makes `arena` (or none) the one that this thread takes from.
  class Use {
   public:
    explicit Use(BlockArena* arena);
    ~Use();
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    BlockArena* before_;
  };
  /// Null outside every Use.
  static BlockArena* in_use();

 private:
  struct Chunk;
  struct Chunks;
  void* cut(size_t bytes);
  size_t idle() const;
  void keep(size_t most_idle_bytes);

  size_t most_idle_bytes_;
  std::vector<Chunk*> chunks_;  // the oldest first, and filled first
  int64_t out_bytes_ = 0, peak_bytes_ = 0, counts_ = 0;
};

}  // namespace cornernet
