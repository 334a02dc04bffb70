#include "engine/activation_memory.h"

#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>
#include <malloc.h>

#include <algorithm>
#include <cstdlib>
#include <mutex>

namespace cornernet {
namespace {

// Below it malloc is as good.
constexpr size_t kSmallestBlock = size_t{32} << 10;
// From here on malloc gives freed blocks back to the system, whatever it has seen: packed weights leave no holes where maps were.
constexpr int kMappedBlock = 1 << 20;

thread_local ActivationMemory* in_use = nullptr;

}  // namespace

/// LibTorch's own allocator, but for threads with a Use. Its blocks are malloc's too, so that each frees the other's.
struct ActivationMemory::Allocator final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    if (in_use == nullptr || bytes < kSmallestBlock) return usual->allocate(bytes);
    void* block = in_use->take(bytes);
    if (block == nullptr) block = fresh(bytes);
    in_use->note(block, bytes);
    return {block, block, &free_block, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &free_block; }
  void copy_data(void* to, const void* from, size_t bytes) const override { usual->copy_data(to, from, bytes); }

  void* fresh(size_t bytes) {
    try {
      return usual->allocate(bytes).release_context();
    } catch (const c10::Error&) {  // out of memory, for all that LibTorch says
      if (in_use->idle_.empty()) throw;
      in_use->release();
      return usual->allocate(bytes).release_context();
    }
  }

  static void free_block(void* block) {
    if (in_use != nullptr && block != nullptr) {
      in_use->give(block);
    } else {
      c10::free_cpu(block);
    }
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

ActivationMemory::Use::Use(ActivationMemory& memory) {
  Allocator::install();
  in_use = &memory;
}

ActivationMemory::Use::~Use() {
  in_use = nullptr;
  Allocator::remove();
}

ActivationMemory::ActivationMemory(size_t most_idle_bytes) : most_idle_bytes_(most_idle_bytes) { mallopt(M_MMAP_THRESHOLD, kMappedBlock); }

ActivationMemory::~ActivationMemory() { release(); }

void ActivationMemory::release() {
  for (const Block& block : idle_) std::free(block.data);
  idle_.clear();
  idle_bytes_ = 0;
}

void ActivationMemory::count_peak_anew() {
  out_.clear();  // what is still out came from before, and may be freed where nobody counts
  out_bytes_ = peak_bytes_ = 0;
}

void* ActivationMemory::take(size_t bytes) {
  // The smallest that fits; one that is much too large is better kept for a map that needs it.
  auto best = idle_.end();
  for (auto block = idle_.begin(); block != idle_.end(); ++block) {
    const bool fits = block->bytes >= bytes && block->bytes - bytes <= bytes / 4;
    if (fits && (best == idle_.end() || block->bytes < best->bytes)) best = block;
  }
  if (best == idle_.end()) return nullptr;
  void* const data = best->data;
  idle_bytes_ -= best->bytes;
  idle_.erase(best);
  return data;
}

void ActivationMemory::note(void* block, size_t bytes) {
  out_[block] = static_cast<int64_t>(bytes);
  out_bytes_ += static_cast<int64_t>(bytes);
  peak_bytes_ = std::max(peak_bytes_, out_bytes_);
}

void ActivationMemory::give(void* block) {
  if (const auto known = out_.find(block); known != out_.end()) {
    out_bytes_ -= known->second;
    out_.erase(known);
  }
  const size_t bytes = malloc_usable_size(block);
  if (bytes < kSmallestBlock) {
    c10::free_cpu(block);
    return;
  }
  idle_.push_back({block, bytes});
  idle_bytes_ += bytes;
  while (idle_bytes_ > most_idle_bytes_) {
    std::free(idle_.front().data);
    idle_bytes_ -= idle_.front().bytes;
    idle_.pop_front();
  }
}

}  // namespace cornernet
