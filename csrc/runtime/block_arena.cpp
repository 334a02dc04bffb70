#include "runtime/block_arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(begin, size) (void(begin), void(size))
#define ASAN_UNPOISON_MEMORY_REGION(begin, size) (void(begin), void(size))
#endif

namespace cornernet {
namespace {

constexpr size_t kPage = size_t{4} << 10;
// Pages that nobody writes take no memory: a chunk has room for several of the maps that it is made for.
constexpr size_t kLeastChunk = size_t{64} << 20, kBlocksAChunk = 8;

thread_local BlockArena* current = nullptr;

size_t whole_pages(size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

}  // namespace

struct BlockArena::Chunk {
  struct Block {
    size_t size;
    int64_t count;  // the owner's, when it was taken
  };

  Chunk(char* first, size_t bytes, BlockArena* of) : begin(first), size(bytes), owner(of) {
    free[0] = size;
    ASAN_POISON_MEMORY_REGION(begin, size);
  }
  ~Chunk() {
    ASAN_UNPOISON_MEMORY_REGION(begin, size);
    munmap(begin, size);
  }
  Chunk(const Chunk&) = delete;
  Chunk& operator=(const Chunk&) = delete;

  void* cut(size_t bytes, int64_t count) {
    const auto range = std::find_if(free.begin(), free.end(), [&](const auto& candidate) { return candidate.second >= bytes; });
    if (range == free.end()) return nullptr;
    const auto [at, room] = *range;
    out.emplace(at, Block{bytes, count});
    free.erase(range);
    if (room > bytes) free.emplace(at + bytes, room - bytes);
    out_bytes += bytes;
    written = std::max(written, at + bytes);
    ASAN_UNPOISON_MEMORY_REGION(begin + at, bytes);
    return begin + at;
  }

  void join(size_t at, size_t bytes) {
    ASAN_POISON_MEMORY_REGION(begin + at, bytes);
    auto range = free.emplace(at, bytes).first;
    if (const auto next = std::next(range); next != free.end() && at + bytes == next->first) {
      range->second += next->second;
      free.erase(next);
    }
    if (range == free.begin()) return;
    if (const auto before = std::prev(range); before->first + before->second == at) {
      before->second += range->second;
      free.erase(range);
    }
  }

  /// Gives the system the last of what was written, so many bytes at most.
  void trim(size_t bytes) {
    if (free.empty() || std::prev(free.end())->first + std::prev(free.end())->second != size) return;
    const size_t end = std::max(std::prev(free.end())->first, written - whole_pages(std::min(bytes, written)));
    if (end < written) madvise(begin + end, written - end, MADV_DONTNEED);
    written = std::min(written, end);
  }

  size_t idle() const { return written - out_bytes; }

  char* const begin;
  const size_t size;
  BlockArena* owner;             // null once that is gone
  std::map<size_t, size_t> free;  // sizes by where they begin
  std::map<size_t, Block> out;
  size_t out_bytes = 0;
  size_t written = 0;  // nothing from here on ever was, or it went back to the system
};

/// Of all arenas, by address, since a block may be given back where nobody knows its arena, or after it.
struct BlockArena::Chunks {
  std::mutex mutex;
  std::map<char*, std::unique_ptr<Chunk>> by_address;

  static Chunks& all() {
    static Chunks* const one = new Chunks;  // outlives whatever is destroyed at the process's end
    return *one;
  }

  Chunk* of(void* block) {
    const auto next = by_address.upper_bound(static_cast<char*>(block));
    if (next == by_address.begin()) return nullptr;
    Chunk& chunk = *std::prev(next)->second;
    return block < chunk.begin + chunk.size ? &chunk : nullptr;
  }

  Chunk* add(size_t size, BlockArena* owner) {
    void* const begin = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (begin == MAP_FAILED) return nullptr;
    auto& chunk = by_address[static_cast<char*>(begin)];
    chunk = std::make_unique<Chunk>(static_cast<char*>(begin), size, owner);
    return chunk.get();
  }
};

BlockArena::~BlockArena() {
  Chunks& all = Chunks::all();
  const std::lock_guard lock(all.mutex);
  for (Chunk* const chunk : chunks_) {
    chunk->owner = nullptr;
    if (chunk->out.empty()) all.by_address.erase(chunk->begin);
  }
}

void* BlockArena::cut(size_t bytes) {
  for (Chunk* const chunk : chunks_) {
    if (void* const block = chunk->cut(bytes, counts_)) return block;
  }
  for (const size_t size : {std::max(kLeastChunk, kBlocksAChunk * bytes), bytes}) {
    if (Chunk* const chunk = Chunks::all().add(size, this)) return chunks_.emplace_back(chunk)->cut(bytes, counts_);
  }
  return nullptr;
}

void* BlockArena::take(size_t bytes) {
  bytes = whole_pages(bytes);
  const std::lock_guard lock(Chunks::all().mutex);
  void* const block = cut(bytes);
  if (block != nullptr) peak_bytes_ = std::max(peak_bytes_, out_bytes_ += static_cast<int64_t>(bytes));
  return block;
}

bool BlockArena::give_back(void* block) {
  Chunks& chunks = Chunks::all();
  const std::lock_guard lock(chunks.mutex);
  Chunk* const chunk = chunks.of(block);
  if (chunk == nullptr) return false;
  const auto known = chunk->out.find(static_cast<size_t>(static_cast<char*>(block) - chunk->begin));
  if (known == chunk->out.end()) return false;
  const auto [size, count] = known->second;
  BlockArena* const owner = chunk->owner;
  if (owner != nullptr && owner->counts_ == count) owner->out_bytes_ -= static_cast<int64_t>(size);
  chunk->out_bytes -= size;
  chunk->join(known->first, size);
  chunk->out.erase(known);
  if (owner == nullptr && chunk->out.empty()) chunks.by_address.erase(chunk->begin);
  return true;
}

size_t BlockArena::idle_bytes() const {
  const std::lock_guard lock(Chunks::all().mutex);
  size_t idle = 0;
  for (const Chunk* const chunk : chunks_) idle += chunk->idle();
  return idle;
}

void BlockArena::trim(size_t most_idle_bytes) {
  size_t idle = idle_bytes();
  Chunks& all = Chunks::all();
  const std::lock_guard lock(all.mutex);
  for (auto last = chunks_.rbegin(); last != chunks_.rend() && idle > most_idle_bytes; ++last) {
    Chunk& chunk = **last;
    const size_t before = chunk.idle();
    chunk.trim(idle - most_idle_bytes);
    idle -= before - chunk.idle();
  }
  std::erase_if(chunks_, [&](Chunk* chunk) {
    const bool unused = chunk->written == 0;
    if (unused) all.by_address.erase(chunk->begin);
    return unused;
  });
}

int64_t BlockArena::peak_bytes() const {
  const std::lock_guard lock(Chunks::all().mutex);
  return peak_bytes_;
}

void BlockArena::count_peak_anew() {
  const std::lock_guard lock(Chunks::all().mutex);
  ++counts_;
  out_bytes_ = peak_bytes_ = 0;
}

BlockArena* BlockArena::in_use() { return current; }

BlockArena::Use::Use(BlockArena* arena) : arena_(arena), before_(std::exchange(current, arena)) {}

BlockArena::Use::~Use() {
  current = before_;
  if (arena_ != nullptr) arena_->trim(arena_->most_idle_bytes_);
}

}  // namespace cornernet
