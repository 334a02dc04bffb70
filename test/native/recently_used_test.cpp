// The bounded map of what was used recently.
#include "runtime/recently_used.h"

#include <memory>
#include <string>

#include "test.h"

namespace cornernet::testing {
namespace {

const Registration order("runtime: a bounded map lets go of what was used longest ago", [] {
  RecentlyUsed<std::string, int> map(2);
  check(map.empty() && map.find("a") == nullptr, "a new map is not empty");
  map.insert("a", 1);
  map.insert("b", 2);
  check(*map.find("a") == 1, "a is lost");  // b is now the one used longest ago
  map.insert("c", 3);
  check(map.size() == 2 && map.find("b") == nullptr && *map.find("a") == 1 && *map.find("c") == 3, "the wrong one went");
});

const Registration room("runtime: a bounded map makes room before a new value is made", [] {
  RecentlyUsed<int, std::shared_ptr<int>> map(1);
  const std::weak_ptr<int> first = map.insert(1, std::make_shared<int>(1));
  map.make_room();
  check(first.expired() && map.empty(), "the old value is still there");
  map.insert(2, nullptr);
  map.clear();
  check(map.empty(), "clear() leaves something");
});

}  // namespace
}  // namespace cornernet::testing
