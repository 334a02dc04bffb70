#include "runtime/recycled_memory.h"

#include <bit>
#include <mutex>
#include <new>
#include <unordered_map>

namespace cornernet {
namespace {

constexpr size_t kSmallestBlock = size_t{64} << 10;  // below it malloc is as good
constexpr size_t kMostIdleBytes = size_t{128} << 20;

/// Eight sizes between a power of two and the next: pictures that are nearly of a size use each other's memory, and none has an eighth too much.
size_t block_size(size_t bytes) {
  const size_t step = std::bit_floor(bytes) / 8;
  return (bytes + step - 1) / step * step;
}

struct Idle {
  std::mutex mutex;
  std::unordered_map<size_t, std::vector<void*>> by_size;
  size_t bytes = 0;
};

Idle& idle() {
  static Idle* const all = new Idle;  // outlives whatever is destroyed at the process's end
  return *all;
}

}  // namespace

void* take_memory(size_t bytes) {
  if (bytes < kSmallestBlock) return ::operator new(bytes);
  const size_t size = block_size(bytes);
  {
    const std::lock_guard lock(idle().mutex);
    const auto found = idle().by_size.find(size);
    if (found != idle().by_size.end()) {
      void* const block = found->second.back();
      found->second.pop_back();
      if (found->second.empty()) idle().by_size.erase(found);
      idle().bytes -= size;
      return block;
    }
  }
  return ::operator new(size);
}

void give_back_memory(void* memory, size_t bytes) noexcept {
#if !defined(__SANITIZE_ADDRESS__)  // which is to see every use of what is gone
  if (bytes >= kSmallestBlock) {
    const size_t size = block_size(bytes);
    try {
      const std::lock_guard lock(idle().mutex);
      if (idle().bytes + size <= kMostIdleBytes) {
        idle().by_size[size].push_back(memory);
        idle().bytes += size;
        return;
      }
    } catch (const std::bad_alloc&) {
    }
  }
#endif
  ::operator delete(memory);
}

}  // namespace cornernet
