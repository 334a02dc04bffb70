// The room that knows nothing of models: errors, the LRU cache and recycled memory.
#include <algorithm>
#include <atomic>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

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
#if !defined(__SANITIZE_ADDRESS__)
  check(again.data() == at, "memory of 900,000 bytes does not serve 890,000");
#endif
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

}  // namespace
}  // namespace cornernet::testing
