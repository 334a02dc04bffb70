// A bounded map that lets go of what was used longest ago: an LRU cache.
#pragma once
#include <algorithm>
#include <cstddef>
#include <list>
#include <utility>

namespace cornernet {

/// For few entries: finding looks at each.
template <typename Key, typename Value>
class LruCache {
 public:
  /// `most` is at least 1.
  explicit LruCache(size_t most) : most_(most) {}

  /// Null where there is none; else it is the last to go now.
  Value* find(const Key& key) {
    const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const auto& entry) { return entry.first == key; });
    if (found == entries_.end()) return nullptr;
    entries_.splice(entries_.begin(), entries_, found);
    return &entries_.front().second;
  }
  /// Lets go of what is one too many for the next insert(): before the new value is made, where both at a time would be too much.
  void make_room() {
    while (entries_.size() >= most_) entries_.pop_back();
  }
  /// `key` is not in it yet.
  Value& insert(Key key, Value value) {
    make_room();
    entries_.emplace_front(std::move(key), std::move(value));
    return entries_.front().second;
  }
  void erase(const Key& key) {
    entries_.remove_if([&](const auto& entry) { return entry.first == key; });
  }
  void clear() { entries_.clear(); }
  bool empty() const { return entries_.empty(); }
  size_t size() const { return entries_.size(); }

 private:
  size_t most_;
  std::list<std::pair<Key, Value>> entries_;  // the latest used first
};

}  // namespace cornernet
