#include "checkpoint/pickle.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>

#include "checkpoint/pickle_objects.h"
#include "runtime/error.h"
#include "runtime/interrupt.h"

namespace cornernet::pickle {

const Value* Value::find(std::string_view key) const {
  const Value* found = nullptr;
  for (size_t i = 0; i + 1 < items.size(); i += 2) {
    if (items[i]->kind == Kind::String && items[i]->text == key) found = items[i + 1];
  }
  return found;
}

std::string Value::qualified_name() const {
  constexpr size_t kShown = 100;
  return std::string(module.substr(0, kShown)) + "." + std::string(text.substr(0, kShown));
}

Value* Unpickler::make(Kind kind) {
  if (values_.size() >= most_values_) refuse_checkpoint(origin_ + " holds more than " + std::to_string(most_values_) + " objects");
  values_.emplace_back();
  values_.back().kind = kind;
  return &values_.back();
}

/// One pass over one pickle: the stack, the marks and the memo.
class Unpickler::Run {
 public:
  Run(Unpickler& unpickler, std::span<const uint8_t> bytes, const std::function<void(std::span<const uint8_t>)>& demand)
      : unpickler_(unpickler), bytes_(bytes), demand_(demand), demanded_(demand ? 0 : bytes.size()) {}

  const Value& run() {
    for (;;) {
      opcode_at_ = position_;
      require(++opcodes_ < 10 * most(), "it takes too many steps");
      check_interrupted();
      const uint8_t opcode = byte();
      if (opcode == '.') break;
      step(opcode);
    }
    return *pop();
  }
  size_t position() const { return position_; }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    refuse_checkpoint(unpickler_.origin_ + " is damaged or not a checkpoint: " + what + " at byte " + std::to_string(opcode_at_));
  }
  void require(bool holds, const char* what) const {
    if (!holds) fail(what);
  }

  size_t most() const { return unpickler_.most_values_; }

  // Reading
  /// Has the bytes up to `end` demanded.
  void reach(size_t end) {
    constexpr size_t kAtOnce = size_t{64} << 10;
    if (end <= demanded_) return;
    const size_t to = std::min(bytes_.size(), std::max(end, demanded_ + kAtOnce));
    demand_(bytes_.subspan(demanded_, to - demanded_));
    demanded_ = to;
  }
  std::string_view take(uint64_t n) {
    if (n > bytes_.size() - position_) fail("it ends within a value");
    reach(position_ + static_cast<size_t>(n));
    const std::string_view part(reinterpret_cast<const char*>(bytes_.data()) + position_, static_cast<size_t>(n));
    position_ += static_cast<size_t>(n);
    return part;
  }
  uint8_t byte() { return static_cast<uint8_t>(take(1)[0]); }
  template <typename T>
  T little() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }
  std::string_view line() {
    constexpr size_t kLongest = size_t{64} << 10;
    const auto rest = bytes_.subspan(position_, std::min(kLongest, bytes_.size() - position_));
    reach(position_ + rest.size());
    const auto end = std::find(rest.begin(), rest.end(), '\n');
    if (end == rest.end()) fail("it ends within a name");
    const std::string_view text = take(static_cast<uint64_t>(end - rest.begin()));
    take(1);
    return text;
  }

  // Stack
  Value* push(Value* value) {
    require(stack_.size() < most(), "its stack is too deep");
    stack_.push_back(value);
    return value;
  }
  Value* push(Kind kind) { return push(unpickler_.make(kind)); }
  void push_int(int64_t integer, Kind kind = Kind::Int) { push(kind)->integer = integer; }
  void push_text(std::string_view text) { push(Kind::String)->text = text; }
  /// Values above the last mark may be popped, the ones below it not.
  size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  Value* pop() {
    require(stack_.size() > floor(), "a value is missing on the stack");
    Value* value = stack_.back();
    stack_.pop_back();
    return value;
  }
  /// In the order in which they were pushed.
  std::vector<Value*> pop_some(size_t n) {
    std::vector<Value*> items(n);
    for (size_t i = n; i-- > 0;) items[i] = pop();
    return items;
  }
  Value* top() const {
    require(stack_.size() > floor(), "a value is missing on the stack");
    return stack_.back();
  }
  std::vector<Value*> pop_to_mark() {
    require(!marks_.empty(), "a mark is missing on the stack");
    const auto first = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<Value*> items(first, stack_.end());
    stack_.erase(first, stack_.end());
    marks_.pop_back();
    return items;
  }

  // Opcodes
  void step(uint8_t opcode);

  void push_long(std::string_view digits) {
    if (digits.size() > sizeof(int64_t)) {
      push(Kind::BigInt)->text = digits;
      return;
    }
    uint64_t value = !digits.empty() && (digits.back() & 0x80) ? ~uint64_t{0} : 0;
    for (size_t i = digits.size(); i-- > 0;) value = value << 8 | static_cast<uint8_t>(digits[i]);
    push_int(static_cast<int64_t>(value));
  }
  void refer(size_t items) {
    unpickler_.references_ += items;
    require(unpickler_.references_ <= 3 * most(), "its containers hold too much");
  }
  void push_items(Kind kind, std::vector<Value*> items) {
    refer(items.size());
    push(kind)->items = std::move(items);
  }
  void append(const std::vector<Value*>& items) {
    if (top()->kind == Kind::Opaque) return;  // a deque, a set of some class: what is in it isn't needed
    require(top()->kind == Kind::List, "items are appended to something that is no list");
    refer(items.size());
    top()->items.insert(top()->items.end(), items.begin(), items.end());
  }
  void set_items(const std::vector<Value*>& items) {
    require(items.size() % 2 == 0, "a key has no value");
    if (top()->kind == Kind::Opaque) return;
    require(top()->kind == Kind::Dict, "items are set on something that is no dictionary");
    refer(items.size());
    top()->items.insert(top()->items.end(), items.begin(), items.end());
  }
  void remember(uint64_t slot) {
    memo_[slot] = top();
    require(memo_.size() <= most(), "it remembers too much");
  }
  void recall(uint64_t slot) {
    const auto found = memo_.find(slot);
    require(found != memo_.end(), "it recalls a value that was never remembered");
    push(found->second);
  }
  void push_global(std::string_view module, std::string_view name) {
    Value* value = push(Kind::Global);
    value->module = module;
    value->text = name;
  }
  /// From a callee, its arguments and, with NEWOBJ_EX, keywords.
  void push_object(const std::vector<Value*>& operands) { push(construct(*operands[0], *operands[1], maker(), failure())); }
  Maker maker() {
    return [this](Kind kind) { return unpickler_.make(kind); };
  }
  Failure failure() const {
    return [this](const std::string& what) { fail(what); };
  }

  Unpickler& unpickler_;
  std::span<const uint8_t> bytes_;
  const std::function<void(std::span<const uint8_t>)>& demand_;
  size_t demanded_;
  size_t position_ = 0, opcode_at_ = 0, opcodes_ = 0;
  std::vector<Value*> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint64_t, Value*> memo_;
};

void Unpickler::Run::step(uint8_t opcode) {
  using Step = void (*)(Run&);
  static const std::unordered_map<uint8_t, Step> kSteps{
      // Scalars
      {0x80, [](Run& r) { r.require(r.byte() <= 5, "its pickle protocol is newer than 5"); }},
      {0x95, [](Run& r) { r.little<uint64_t>(); }},  // FRAME: a hint for buffering
      {'N', [](Run& r) { r.push(Kind::None); }},
      {0x88, [](Run& r) { r.push_int(1, Kind::Bool); }},
      {0x89, [](Run& r) { r.push_int(0, Kind::Bool); }},
      {'J', [](Run& r) { r.push_int(r.little<int32_t>()); }},
      {'K', [](Run& r) { r.push_int(r.byte()); }},
      {'M', [](Run& r) { r.push_int(r.little<uint16_t>()); }},
      {0x8a, [](Run& r) { r.push_long(r.take(r.byte())); }},
      {0x8b, [](Run& r) { r.push_long(r.take(r.little<uint32_t>())); }},
      {'G', [](Run& r) { r.push(Kind::Float)->real = std::bit_cast<double>(__builtin_bswap64(r.little<uint64_t>())); }},  // big-endian
      // Strings and bytes
      {'X', [](Run& r) { r.push_text(r.take(r.little<uint32_t>())); }},
      {'T', [](Run& r) { r.push_text(r.take(r.little<uint32_t>())); }},
      {'B', [](Run& r) { r.push_text(r.take(r.little<uint32_t>())); }},
      {0x8c, [](Run& r) { r.push_text(r.take(r.byte())); }},
      {'U', [](Run& r) { r.push_text(r.take(r.byte())); }},
      {'C', [](Run& r) { r.push_text(r.take(r.byte())); }},
      {0x8d, [](Run& r) { r.push_text(r.take(r.little<uint64_t>())); }},
      {0x8e, [](Run& r) { r.push_text(r.take(r.little<uint64_t>())); }},
      {0x96, [](Run& r) { r.push_text(r.take(r.little<uint64_t>())); }},
      // The stack
      {'(',
       [](Run& r) {
         r.require(r.marks_.size() < r.most(), "its marks are too many");
         r.marks_.push_back(r.stack_.size());
       }},
      {'0', [](Run& r) { r.pop(); }},
      {'1', [](Run& r) { r.pop_to_mark(); }},
      {'2', [](Run& r) { r.push(r.top()); }},
      // Containers
      {']', [](Run& r) { r.push(Kind::List); }},
      {'}', [](Run& r) { r.push(Kind::Dict); }},
      {')', [](Run& r) { r.push(Kind::Tuple); }},
      {'t', [](Run& r) { r.push_items(Kind::Tuple, r.pop_to_mark()); }},
      {'l', [](Run& r) { r.push_items(Kind::List, r.pop_to_mark()); }},
      {'d',
       [](Run& r) {
         const auto items = r.pop_to_mark();
         r.push(Kind::Dict);
         r.set_items(items);
       }},
      {0x85, [](Run& r) { r.push_items(Kind::Tuple, r.pop_some(1)); }},
      {0x86, [](Run& r) { r.push_items(Kind::Tuple, r.pop_some(2)); }},
      {0x87, [](Run& r) { r.push_items(Kind::Tuple, r.pop_some(3)); }},
      {'a', [](Run& r) { r.append(r.pop_some(1)); }},
      {'e', [](Run& r) { r.append(r.pop_to_mark()); }},
      {'s', [](Run& r) { r.set_items(r.pop_some(2)); }},
      {'u', [](Run& r) { r.set_items(r.pop_to_mark()); }},
      {0x8f, [](Run& r) { r.push(Kind::Opaque)->text = "set"; }},
      {0x90,
       [](Run& r) {
         r.pop_to_mark();
         r.require(r.top()->kind == Kind::Opaque, "items are added to something that is no set");
       }},
      {0x91,
       [](Run& r) {
         r.pop_to_mark();
         r.push(Kind::Opaque)->text = "frozenset";
       }},
      // The memo
      {'q', [](Run& r) { r.remember(r.byte()); }},
      {'r', [](Run& r) { r.remember(r.little<uint32_t>()); }},
      {0x94, [](Run& r) { r.remember(r.memo_.size()); }},
      {'h', [](Run& r) { r.recall(r.byte()); }},
      {'j', [](Run& r) { r.recall(r.little<uint32_t>()); }},
      // Objects: nothing is called; what we know is built, all else becomes an inert object
      {'c',
       [](Run& r) {
         const auto module = r.line();
         r.push_global(module, r.line());
       }},
      {0x93,
       [](Run& r) {
         const auto names = r.pop_some(2);
         r.require(names[0]->kind == Kind::String && names[1]->kind == Kind::String, "a global's name is no string");
         r.push_global(names[0]->text, names[1]->text);
       }},
      {'Q', [](Run& r) { r.push(resolve_persistent_id(*r.pop(), r.maker(), r.failure())); }},
      {'R', [](Run& r) { r.push_object(r.pop_some(2)); }},
      {0x81, [](Run& r) { r.push_object(r.pop_some(2)); }},
      {0x92, [](Run& r) { r.push_object(r.pop_some(3)); }},
      {'b',
       [](Run& r) {  // BUILD: an object's state; an ordered dictionary carries its _metadata so
         r.pop();
         const Kind kind = r.top()->kind;
         r.require(kind == Kind::Opaque || kind == Kind::Dict || kind == Kind::Tensor, "a state is set on a plain value");
       }},
  };
  const auto known = kSteps.find(opcode);
  if (known == kSteps.end()) fail("opcode " + std::to_string(opcode) + " is not one that checkpoints use");
  known->second(*this);
}

const Value& Unpickler::load(std::span<const uint8_t>& bytes, const std::function<void(std::span<const uint8_t>)>& demand) {
  Run run(*this, bytes, demand);
  const Value& value = run.run();
  bytes = bytes.subspan(run.position());
  return value;
}

}  // namespace cornernet::pickle
