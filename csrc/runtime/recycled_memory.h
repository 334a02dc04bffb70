// Memory of pictures, which come and go by the thousand: kept for the next one, because what the system gives anew it first clears page by page,
// which takes many times as long as copying a picture there.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace cornernet {

/// Throws std::bad_alloc.
void* take_memory(size_t bytes);
/// `bytes` as they were asked for.
void give_back_memory(void* memory, size_t bytes) noexcept;

template <typename T>
struct RecyclingAllocator {
  using value_type = T;
  RecyclingAllocator() = default;
  template <typename Other>
  RecyclingAllocator(const RecyclingAllocator<Other>&) noexcept {}
  T* allocate(size_t count) { return static_cast<T*>(take_memory(count * sizeof(T))); }
  void deallocate(T* memory, size_t count) noexcept { give_back_memory(memory, count * sizeof(T)); }
  bool operator==(const RecyclingAllocator&) const { return true; }
};

/// A vector of bytes whose memory comes from here.
using RecycledBytes = std::vector<uint8_t, RecyclingAllocator<uint8_t>>;

}  // namespace cornernet
