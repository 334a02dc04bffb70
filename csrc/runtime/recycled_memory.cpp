#include "runtime/recycled_memory.h"

#include <new>

#include "runtime/block_arena.h"

namespace cornernet {
namespace {

constexpr size_t kSmallestBlock = size_t{64} << 10;  // below it malloc is as good
constexpr size_t kMostIdleBytes = size_t{128} << 20;

BlockArena& pictures() {
  static BlockArena* const one = new BlockArena(kMostIdleBytes);  // outlives whatever is destroyed at the process's end
  return *one;
}

}  // namespace

void* take_memory(size_t bytes) {
  if (bytes < kSmallestBlock) return ::operator new(bytes);
  if (void* const block = pictures().take(bytes)) return block;
  throw std::bad_alloc();
}

void give_back_memory(void* memory, size_t bytes) noexcept {
  if (bytes < kSmallestBlock) return ::operator delete(memory);
  BlockArena::give_back(memory);
}

}  // namespace cornernet
