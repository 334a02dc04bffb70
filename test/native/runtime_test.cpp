// The room that knows nothing of models: errors and the LRU cache.
#include <memory>
#include <string>

#include "runtime/error.h"
#include "runtime/lru_cache.h"
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

}  // namespace
}  // namespace cornernet::testing
