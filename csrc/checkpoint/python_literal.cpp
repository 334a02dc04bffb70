#include "checkpoint/python_literal.h"

#include <cctype>
#include <charconv>

namespace cornernet {
namespace {

constexpr int kMaxDepth = 64;

bool starts_name(char c) { return std::isalpha(static_cast<unsigned char>(c)) || c == '_'; }
bool continues_name(char c) { return starts_name(c) || std::isdigit(static_cast<unsigned char>(c)); }

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text.substr(0, kMaxConfigText)) {}

  Literal assignments() {
    Literal all;
    all.kind = Literal::Kind::Dict;
    while (skip_space(true), !at_end()) {
      const size_t line = position_;
      const std::string name = take_name();
      skip_space(false);
      if (!name.empty() && peek() == '=' && peek(1) != '=') {
        ++position_;
        all.entries.push_back({name, value(0)});
      }
      if (position_ == line || peek() != '\n') skip_line();
    }
    return all;
  }

 private:
  bool at_end() const { return position_ >= text_.size(); }
  char peek(size_t ahead = 0) const { return position_ + ahead < text_.size() ? text_[position_ + ahead] : '\0'; }
  void skip_line() {
    while (!at_end() && text_[position_++] != '\n') {
    }
  }
  void skip_space(bool newlines) {
    while (!at_end()) {
      const char c = peek();
      if (c == '#') {
        while (!at_end() && peek() != '\n') ++position_;
      } else if (c == ' ' || c == '\t' || c == '\r' || (c == '\n' && newlines) || (c == '\\' && peek(1) == '\n')) {
        position_ += c == '\\' ? 2 : 1;
      } else {
        return;
      }
    }
  }
  std::string take_name() {
    if (!starts_name(peek())) return {};
    const size_t first = position_;
    while (continues_name(peek())) ++position_;
    return std::string(text_.substr(first, position_ - first));
  }

  Literal value(int depth) {
    skip_space(depth > 0);
    if (depth > kMaxDepth) return {};
    const char c = peek();
    if (c == '[' || c == '(') return list(c == '[' ? ']' : ')', depth);
    if (c == '{') return dict('}', ':', depth);
    if (c == '\'' || c == '"') return string();
    if (starts_name(c)) return named(depth);
    return number();
  }

  Literal named(int depth) {
    const std::string name = take_name();
    Literal literal;
    if (name == "True" || name == "False") {
      literal.kind = Literal::Kind::Bool;
      literal.number = name == "True";
    } else if (name == "dict" && peek() == '(') {
      return dict(')', '=', depth);
    } else if ((peek() == '\'' || peek() == '"') && name.size() <= 2) {  // r'...', b'...'
      return string();
    }
    return literal;
  }

  Literal number() {
    Literal literal;
    const size_t sign = peek() == '+' ? 1 : 0;
    const char* first = text_.data() + position_ + (at_end() ? 0 : sign);
    const auto [end, failure] = std::from_chars(first, text_.data() + text_.size(), literal.number);
    if (failure != std::errc()) return {};
    literal.kind = Literal::Kind::Number;
    position_ = static_cast<size_t>(end - text_.data());
    return literal;
  }

  Literal string() {
    Literal literal;
    literal.kind = Literal::Kind::String;
    const char quote = text_[position_];
    const bool triple = peek(1) == quote && peek(2) == quote;
    const std::string_view closing = triple ? text_.substr(position_, 3) : text_.substr(position_, 1);
    position_ += closing.size();
    while (!at_end() && text_.substr(position_, closing.size()) != closing) {
      if (peek() == '\\') ++position_;
      if (!at_end()) literal.text += text_[position_++];
    }
    position_ += at_end() ? 0 : closing.size();
    return literal;
  }

  Literal list(char closing, int depth) {
    Literal literal;
    literal.kind = Literal::Kind::List;
    ++position_;
    while (skip_space(true), !at_end() && peek() != closing) {
      literal.items.push_back(value(depth + 1));
      if (!to_separator(closing)) return literal;
    }
    position_ += at_end() ? 0 : 1;
    return literal;
  }

  Literal dict(char closing, char separator, int depth) {
    Literal literal;
    literal.kind = Literal::Kind::Dict;
    ++position_;
    while (skip_space(true), !at_end() && peek() != closing) {
      const bool quoted = peek() == '\'' || peek() == '"';
      const std::string name = quoted ? string().text : take_name();
      skip_space(true);
      if (!name.empty() && peek() == separator) {
        ++position_;
        literal.entries.push_back({name, value(depth + 1)});
      }
      if (!to_separator(closing)) return literal;
    }
    position_ += at_end() ? 0 : 1;
    return literal;
  }

  /// Passes over what was not understood up to the next comma or the closing bracket of this level. False at a bracket of another kind, which is
  /// left to the level that it may close: this one has nothing more, and would meet it for ever.
  bool to_separator(char closing) {
    int nested = 0;
    for (skip_space(true); !at_end(); skip_space(true)) {
      const char c = peek();
      if (nested == 0 && (c == ',' || c == closing)) {
        position_ += c == ',' ? 1 : 0;
        return true;
      }
      if (c == '\'' || c == '"') {
        string();
        continue;
      }
      nested += c == '(' || c == '[' || c == '{';
      nested -= c == ')' || c == ']' || c == '}';
      if (nested < 0) return false;
      ++position_;
    }
    return true;
  }

  std::string_view text_;
  size_t position_ = 0;
};

}  // namespace

const Literal* Literal::find(std::string_view name) const {
  const Literal* found = nullptr;
  for (const auto& [key, value] : entries) {
    if (key == name) found = &value;
  }
  return found;
}

Literal parse_assignments(std::string_view text) { return Parser(text).assignments(); }

}  // namespace cornernet
