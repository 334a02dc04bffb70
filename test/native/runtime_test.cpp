// The room that knows nothing of models: errors, the LRU cache, recycled memory and the arena.
#include <algorithm>
#include <atomic>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "runtime/block_arena.h"
#include "runtime/error.h"
#include "runtime/lru_cache.h"
#include "runtime/recycled_memory.h"
#include "test.h"

namespace cornernet::testing {
namespace {

const Registration codes("runtime: an error carries its code's public name and its sentence", [] {
  const Error error(ErrorCode::Checkpoint, "a sentence");
  check(std::string(code_name(error.code())) == "ERR_CHECKPOINT", "got ", code_name(error.code()));
  check(std::string(code_name(ErrorCode::Internal)) == "ERR_INTERNAL", "got ", code_name(ErrorCode::Internal));
  check(std::string(error.what()) == "a sentence", "got ", error.what());
});

const Registration order("runtime: an LRU cache lets go of what was used longest ago", [] {
  LruCache<std::string, int> cache(2);
  check(cache.empty() && cache.find("a") == nullptr, "a new cache is not empty");
  cache.insert("a", 1);
  cache.insert("b", 2);
  check(*cache.find("a") == 1, "a is lost");  // b is now the one used longest ago
  cache.insert("c", 3);
  check(cache.size() == 2 && cache.find("b") == nullptr && *cache.find("a") == 1 && *cache.find("c") == 3, "the wrong one went");
});

const Registration room("runtime: an LRU cache makes room before a new value is made", [] {
  LruCache<int, std::shared_ptr<int>> cache(1);
  const std::weak_ptr<int> first = cache.insert(1, std::make_shared<int>(1));
  cache.make_room();
  check(first.expired() && cache.empty(), "the old value is still there");
  cache.insert(2, nullptr);
  cache.clear();
  check(cache.empty(), "clear() leaves something");
});

const Registration recycled("runtime: a picture's memory serves the next of about its size, and none that is in use is given away", [] {
  const auto address_of = [](size_t bytes) { return RecycledBytes(bytes).data(); };
  RecycledBytes kept(900'000, 7);
  const uint8_t* const at = kept.data();
  check(address_of(900'000) != at, "memory in use was given away");
  kept = RecycledBytes();
  const std::vector<uint8_t> wanted(890'000, 9);
  const RecycledBytes again(wanted.begin(), wanted.end());
  check(again.data() == at, "memory of 900,000 bytes does not serve 890,000");
  check(std::equal(again.begin(), again.end(), wanted.begin()), "it holds something else");
  check(address_of(450'000) != at && address_of(100) != nullptr, "memory in use was given away");
  std::set<const uint8_t*> places;
  for (int round = 0; round < 2; ++round) {
    std::vector<RecycledBytes> many;
    for (int i = 0; i < 20; ++i) many.emplace_back(size_t{10} << 20);  // 200 MB, of which 128 are kept
    places.clear();
    for (const RecycledBytes& one : many) places.insert(one.data());
    check(places.size() == many.size(), "memory in use was given away");
  }
});

const Registration shared("runtime: threads that take and give back pictures' memory never hold the same", [] {
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int id = 1; id <= 4; ++id) {
    threads.emplace_back([id, &wrong] {
      for (int i = 0; i < 200; ++i) {
        const auto mine = static_cast<uint8_t>(16 * id + i % 16);
        const RecycledBytes bytes(static_cast<size_t>(100'000 + 1000 * (i % 7)), mine);
        std::this_thread::yield();
        if (!std::ranges::all_of(bytes, [mine](uint8_t byte) { return byte == mine; })) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  check(wrong == 0, wrong.load(), " pictures were written over");
});

constexpr size_t kMebibyte = size_t{1} << 20;

char* taken(BlockArena& arena, size_t bytes) {
  auto* const block = static_cast<char*>(arena.take(bytes));
  check(block != nullptr, "there is no memory");
  block[0] = block[bytes - 1] = 1;
  return block;
}

const Registration joined("runtime: an arena cuts small blocks from what large ones left, joins them again, and counts what is out", [] {
  BlockArena arena(256 * kMebibyte);
  char* const large = taken(arena, 16 * kMebibyte);
  check(BlockArena::give_back(large), "the block is unknown");
  char* const first = taken(arena, 8 * kMebibyte);
  char* const second = taken(arena, 8 * kMebibyte);
  check(first == large && second == large + 8 * kMebibyte, "what one of 16 MiB left does not hold two of 8");
  check(arena.idle_bytes() == 0, arena.idle_bytes(), " bytes are idle");
  // In both orders: a neighbour before, and one behind.
  for (const auto& [one, other] : {std::pair{first, second}, std::pair{second, first}}) {
    check(BlockArena::give_back(one) && BlockArena::give_back(other), "a block is unknown");
    check(taken(arena, 16 * kMebibyte) == large, "two free neighbours are not one");
    check(BlockArena::give_back(large), "the block is unknown");
    check(taken(arena, 8 * kMebibyte) == first && taken(arena, 8 * kMebibyte) == second, "blocks are not where they were");
  }
  char* const third = taken(arena, 3);
  check(arena.peak_bytes() == static_cast<int64_t>(16 * kMebibyte + 4096), "the peak is ", arena.peak_bytes());
  arena.count_peak_anew();
  check(BlockArena::give_back(first) && arena.peak_bytes() == 0, "what was there before counts");
  check(taken(arena, kMebibyte) == first && arena.peak_bytes() == static_cast<int64_t>(kMebibyte), "the peak is ", arena.peak_bytes());
  char elsewhere = 0;
  check(!BlockArena::give_back(&elsewhere) && !BlockArena::give_back(third + 1), "what is no block was taken back");
  for (char* const block : {first, second, third}) BlockArena::give_back(block);
});

const Registration trimmed("runtime: an arena gives the system what is idle, and keeps what is out whole, also after its end", [] {
  char* kept = nullptr;
  {
    BlockArena arena(2 * kMebibyte);
    char* large = nullptr;
    {
      const BlockArena::Use use(&arena);
      check(BlockArena::in_use() == &arena, "the arena is not in use");
      {
        const BlockArena::Use none(nullptr);
        check(BlockArena::in_use() == nullptr, "an arena is in use");
      }
      kept = taken(arena, 3 * kMebibyte);
      large = taken(arena, 100 * kMebibyte);
    }
    check(BlockArena::in_use() == nullptr, "an arena is in use after its Use");
    BlockArena::give_back(large);
    check(arena.idle_bytes() <= 2 * kMebibyte, arena.idle_bytes(), " bytes are idle");
    // Between blocks too.
    std::vector<char*> row;
    for (int i = 0; i < 5; ++i) row.push_back(taken(arena, 1 * kMebibyte));
    BlockArena::give_back(row[1]);
    BlockArena::give_back(row[3]);
    check(arena.idle_bytes() == 2 * kMebibyte, arena.idle_bytes(), " bytes are idle");
    arena.release();
    check(arena.idle_bytes() == 0, arena.idle_bytes(), " bytes are idle after all was given to the system");
    check(row[2][0] == 1, "what was out went back");
#if !defined(__SANITIZE_ADDRESS__)  // which is to see every use of what is not out
    check(row[1][0] == 0, "what went back is still there");
#endif
    check(taken(arena, 1 * kMebibyte) == row[1] && arena.idle_bytes() == 0, "what went back can't be had again");
    for (char* const block : {row[0], row[1], row[2], row[4]}) check(BlockArena::give_back(block), "a block is unknown");
  }
  check(kept[0] == 1 && kept[3 * kMebibyte - 1] == 1, "what was out is gone");
  check(BlockArena::give_back(kept) && !BlockArena::give_back(kept), "a block is no longer known, or still");
});

const Registration passed_on("runtime: many threads take from arenas of their own and give back each other's blocks", [] {
  std::vector<std::unique_ptr<BlockArena>> arenas;
  for (int i = 0; i < 4; ++i) arenas.push_back(std::make_unique<BlockArena>(0));
  std::atomic<char*> passed{nullptr};
  std::atomic<bool> torn{false};
  std::vector<std::thread> threads;
  for (size_t i = 0; i < arenas.size(); ++i) {
    threads.emplace_back([&, i] {
      for (size_t round = 0; round < 500; ++round) {
        const size_t bytes = (1 + (round * 7 + i) % 13) * 40'000;
        char* const block = taken(*arenas[i], bytes);
        std::fill(block, block + bytes, static_cast<char>(i));
        if (!std::all_of(block, block + bytes, [&](char byte) { return byte == static_cast<char>(i); })) torn = true;
        if (char* const before = passed.exchange(block)) BlockArena::give_back(before);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  check(!torn, "a block is somebody else's too");
  BlockArena::give_back(passed.load());
  for (const auto& arena : arenas) {
    arena->release();
    check(arena->idle_bytes() == 0, "something is still out");
  }
});

}  // namespace
}  // namespace cornernet::testing
