// Ends the process when one input makes the reader hold far more memory than its size accounts for.
#pragma once
#include <sanitizer/allocator_interface.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>

namespace cornernet::fuzz {

class MemoryBound {
 public:
  /// A pickled value takes 176 bytes and as little as one of the file's, and what holds it grows by doubling.
  static constexpr size_t kBytesPerByte = 1024, kAtLeast = size_t{1} << 20;

  explicit MemoryBound(size_t input_size) {
    static const bool installed = __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free) != 0;
    if (!installed) std::abort();
    left_ = static_cast<long long>(kAtLeast + kBytesPerByte * input_size);
    counting_ = true;
  }
  ~MemoryBound() { counting_ = false; }
  MemoryBound(const MemoryBound&) = delete;
  MemoryBound& operator=(const MemoryBound&) = delete;

 private:
  static void on_malloc(const volatile void*, size_t size) {
    if (!counting_ || (left_ -= static_cast<long long>(size)) >= 0) return;
    counting_ = false;
    std::fputs("the input takes more memory than its size accounts for\n", stderr);
    std::abort();
  }
  static void on_free(const volatile void* memory) {
    if (counting_ && memory) left_ += static_cast<long long>(__sanitizer_get_allocated_size(memory));
  }

  inline static thread_local bool counting_ = false;
  inline static thread_local long long left_ = 0;
};

}  // namespace cornernet::fuzz
