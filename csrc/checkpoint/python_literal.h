// A configuration file's assignments as data: Python's literals and dict(...) calls; all else is passed over.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace cornernet {

struct LiteralEntry;

struct Literal {
  enum class Kind { Unknown, Bool, Number, String, List, Dict };
  Kind kind = Kind::Unknown;
  double number = 0;  // Number; Bool as 0 or 1
  std::string text;
  std::vector<Literal> items;         // List (tuples too)
  std::vector<LiteralEntry> entries;  // Dict

  /// The last entry of that name; null when absent or no Dict.
  const Literal* find(std::string_view name) const;
};

struct LiteralEntry {
  std::string name;
  Literal value;
};

/// Characters of a configuration's text that are read: ten times mmdetection's longest. One of nothing but commas takes a hundred times its size.
inline constexpr size_t kMaxConfigText = size_t{256} << 10;

/// The top-level assignments `name = value` as a Dict. Bounded in depth; never fails.
Literal parse_assignments(std::string_view text);

}  // namespace cornernet
