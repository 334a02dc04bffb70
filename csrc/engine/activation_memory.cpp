#include "engine/activation_memory.h"

#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>
#include <malloc.h>

#include <mutex>

namespace cornernet {
namespace {

// Below it malloc is as good.
constexpr size_t kSmallestBlock = size_t{32} << 10;
// From here on malloc gives freed blocks back to the system, whatever it has seen: a layer's weights as they were read, up to 590 KB for 256
// channels, leave no holes when they are packed.
constexpr int kMappedBlock = 1 << 18;

}  // namespace

/// LibTorch's own allocator, but for threads with a Use.
struct ActivationMemory::Allocator final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    BlockArena* const arena = BlockArena::in_use();
    if (arena == nullptr || bytes < kSmallestBlock) return usual->allocate(bytes);
    void* const block = arena->take(bytes);
    if (block == nullptr) return usual->allocate(bytes);  // which says what it lacks
    return {block, block, &free_block, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &free_block; }
  void copy_data(void* to, const void* from, size_t bytes) const override { usual->copy_data(to, from, bytes); }

  static void free_block(void* block) {
    if (block != nullptr && !BlockArena::give_back(block)) c10::free_cpu(block);
  }

  /// In place while anybody has a Use, so that nothing points here when the addon is unloaded.
  static void install() {
    const std::lock_guard lock(mutex);
    if (users++ == 0) c10::SetCPUAllocator(&one);
  }
  static void remove() {
    const std::lock_guard lock(mutex);
    // Another copy of the addon in the process may have put its own in place: each goes back to LibTorch's, never to the other's.
    if (--users == 0 && c10::GetCPUAllocator() == &one) c10::SetCPUAllocator(one.usual);
  }

  c10::Allocator* const usual = c10::GetDefaultCPUAllocator();
  static Allocator one;
  static std::mutex mutex;
  static int users;
};

ActivationMemory::Allocator ActivationMemory::Allocator::one;
std::mutex ActivationMemory::Allocator::mutex;
int ActivationMemory::Allocator::users = 0;

ActivationMemory::ActivationMemory(size_t most_idle_bytes) : arena_(most_idle_bytes) { mallopt(M_MMAP_THRESHOLD, kMappedBlock); }

ActivationMemory::Use::Use(ActivationMemory& memory) : taken_(&memory.arena_) { Allocator::install(); }

ActivationMemory::Use::~Use() { Allocator::remove(); }

}  // namespace cornernet
