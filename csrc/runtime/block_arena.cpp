#include "runtime/block_arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
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
constexpr size_t kLargestBlock = size_t{1} << 44;  // no machine has it, and sums with it are numbers still

thread_local BlockArena* current = nullptr;

size_t whole_pages(size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

}  // namespace

struct BlockArena::Chunk {
  struct Pages {
    char* begin;
    size_t size;

    explicit Pages(size_t bytes)
        : begin(static_cast<char*>(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))), size(bytes) {
      if (begin == MAP_FAILED) throw std::bad_alloc();
      ASAN_POISON_MEMORY_REGION(begin, size);
    }
    ~Pages() {
      ASAN_UNPOISON_MEMORY_REGION(begin, size);
      munmap(begin, size);
    }
    Pages(const Pages&) = delete;
    Pages& operator=(const Pages&) = delete;
  };
  struct Range {
    size_t size;
    bool out;
    bool kept;      // of one that is free: something of it, before `written`, may be memory
    int64_t count;  // of one that is out: the owner's, when it was taken
  };

  Chunk(size_t bytes, BlockArena* of) : pages(bytes), owner(of), ranges{{0, {bytes, false, false, 0}}} {}

  void* cut(size_t bytes, int64_t count) {
    const auto found = std::find_if(ranges.begin(), ranges.end(), [&](const auto& range) { return !range.second.out && range.second.size >= bytes; });
    if (found == ranges.end()) return nullptr;
    auto& [at, range] = *found;
    if (range.size > bytes) ranges.emplace_hint(std::next(found), at + bytes, Range{range.size - bytes, false, range.kept, 0});
    range = {bytes, true, true, count};
    out_bytes += bytes;
    written = std::max(written, at + bytes);
    ASAN_UNPOISON_MEMORY_REGION(pages.begin + at, bytes);
    return pages.begin + at;
  }

  /// What it was; nothing when no block begins there. Allocates nothing: it must not fail.
  std::optional<Range> give_back(const void* block) {
    auto range = ranges.find(static_cast<size_t>(static_cast<const char*>(block) - pages.begin));
    if (range == ranges.end() || !range->second.out) return std::nullopt;
    const Range was = range->second;
    range->second.out = false;
    out_bytes -= was.size;
    ASAN_POISON_MEMORY_REGION(pages.begin + range->first, was.size);
    if (range != ranges.begin() && !std::prev(range)->second.out) range = swallow_next(std::prev(range));
    if (std::next(range) != ranges.end() && !std::next(range)->second.out) swallow_next(range);
    return was;
  }

  /// Gives the system so many bytes, if so many are kept and free, the last ones first. How many it gave.
  size_t trim(size_t bytes) {
    size_t given = 0;
    for (auto range = ranges.rbegin(); range != ranges.rend() && given < bytes; ++range) {
      const size_t kept = kept_bytes(*range);
      if (kept == 0) continue;
      madvise(pages.begin + range->first, kept, MADV_DONTNEED);
      range->second.kept = false;
      given += kept;
      if (range->first + kept == written) written = range->first;
    }
    return given;
  }

  size_t idle() const {
    size_t sum = 0;
    for (const auto& range : ranges) sum += kept_bytes(range);
    return sum;
  }

  const Pages pages;
  BlockArena* owner;               // null once that is gone
  std::map<size_t, Range> ranges;  // by where they begin, from the chunk's beginning to its end
  size_t out_bytes = 0;
  size_t written = 0;  // nothing from here on ever was, or it went back to the system

 private:
  size_t kept_bytes(const std::pair<const size_t, Range>& range) const {
    const auto& [at, content] = range;
    return content.out || !content.kept || at >= written ? 0 : std::min(content.size, written - at);
  }

  std::map<size_t, Range>::iterator swallow_next(std::map<size_t, Range>::iterator range) {
    const auto next = std::next(range);
    range->second.size += next->second.size;
    range->second.kept |= next->second.kept;
    ranges.erase(next);
    return range;
  }
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
    return block < chunk.pages.begin + chunk.pages.size ? &chunk : nullptr;
  }

  /// Null when the system has no such memory.
  Chunk* add(size_t size, BlockArena* owner) {
    try {
      auto chunk = std::make_unique<Chunk>(size, owner);
      return by_address.emplace(chunk->pages.begin, std::move(chunk)).first->second.get();
    } catch (const std::bad_alloc&) {
      return nullptr;
    }
  }
};

BlockArena::~BlockArena() {
  Chunks& all = Chunks::all();
  const std::lock_guard lock(all.mutex);
  for (Chunk* const chunk : chunks_) {
    chunk->owner = nullptr;
    if (chunk->out_bytes == 0) all.by_address.erase(chunk->pages.begin);
  }
}

void* BlockArena::cut(size_t bytes) {
  for (Chunk* const chunk : chunks_) {
    if (void* const block = chunk->cut(bytes, counts_)) return block;
  }
  chunks_.reserve(chunks_.size() + 1);
  for (const size_t size : {std::max(kLeastChunk, kBlocksAChunk * bytes), bytes}) {
    if (Chunk* const chunk = Chunks::all().add(size, this)) return chunks_.emplace_back(chunk)->cut(bytes, counts_);
  }
  return nullptr;
}

void* BlockArena::take(size_t bytes) {
  if (bytes > kLargestBlock) return nullptr;
  bytes = whole_pages(bytes);
  const std::lock_guard lock(Chunks::all().mutex);
  void* block = cut(bytes);
  if (block == nullptr) {
    keep(0);
    block = cut(bytes);
  }
  if (block != nullptr) peak_bytes_ = std::max(peak_bytes_, out_bytes_ += static_cast<int64_t>(bytes));
  return block;
}

bool BlockArena::give_back(void* block) {
  Chunks& chunks = Chunks::all();
  const std::lock_guard lock(chunks.mutex);
  Chunk* const chunk = chunks.of(block);
  if (chunk == nullptr) return false;
  const auto was = chunk->give_back(block);
  if (!was) return false;
  if (BlockArena* const owner = chunk->owner; owner == nullptr) {
    if (chunk->out_bytes == 0) chunks.by_address.erase(chunk->pages.begin);
  } else {
    if (owner->counts_ == was->count) owner->out_bytes_ -= static_cast<int64_t>(was->size);
    owner->keep(owner->most_idle_bytes_);
  }
  return true;
}

size_t BlockArena::idle() const {
  size_t sum = 0;
  for (const Chunk* const chunk : chunks_) sum += chunk->idle();
  return sum;
}

void BlockArena::keep(size_t most_idle_bytes) {
  size_t sum = idle();
  for (auto last = chunks_.rbegin(); last != chunks_.rend() && sum > most_idle_bytes; ++last) sum -= (*last)->trim(sum - most_idle_bytes);
  std::erase_if(chunks_, [&](Chunk* chunk) {
    const bool unused = chunk->written == 0;
    if (unused) Chunks::all().by_address.erase(chunk->pages.begin);
    return unused;
  });
}

size_t BlockArena::idle_bytes() const {
  const std::lock_guard lock(Chunks::all().mutex);
  return idle();
}

void BlockArena::release() {
  const std::lock_guard lock(Chunks::all().mutex);
  keep(0);
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

BlockArena::Use::Use(BlockArena* arena) : before_(std::exchange(current, arena)) {}

BlockArena::Use::~Use() { current = before_; }

}  // namespace cornernet
