#include "checkpoint/pickle.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>

#include "checkpoint/pickle_objects.h"
#include "runtime/error.h"

namespace cornernet::pickle {

const Value* Value::find(std::string_view key) const {
  const Value* found = nullptr;
  for (size_t i = 0; i + 1 < items.size(); i += 2) {
    if (items[i]->kind == Kind::String && items[i]->text == key) found = items[i + 1];
  }
  return found;
}

std::string Value::qualified_name() const { return std::string(module) + "." + std::string(text); }

Value* Machine::make(Kind kind) {
  if (values_.size() >= kMaxValues) throw Error(ErrorCode::Checkpoint, origin_ + " holds more than " + std::to_string(kMaxValues) + " objects");
  values_.emplace_back();
  values_.back().kind = kind;
  return &values_.back();
}

/// One pass over one pickle: the stack, the marks and the memo.
class Machine::Run {
 public:
  Run(Machine& machine, std::span<const uint8_t> bytes) : machine_(machine), bytes_(bytes) {}

  const Value& run() {
    for (;;) {
      opcode_at_ = position_;
      const uint8_t opcode = byte();
      if (opcode == '.') break;
      step(opcode);
    }
    return *pop();
  }
  size_t position() const { return position_; }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorCode::Checkpoint, machine_.origin_ + " is damaged or not a checkpoint: " + what + " at byte " + std::to_string(opcode_at_));
  }
  void require(bool holds, const char* what) const {
    if (!holds) fail(what);
  }

  // Reading
  std::string_view take(uint64_t n) {
    if (n > bytes_.size() - position_) fail("it ends within a value");
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
    const auto rest = bytes_.subspan(position_);
    const auto end = std::find(rest.begin(), rest.end(), '\n');
    if (end == rest.end()) fail("it ends within a name");
    const std::string_view text = take(static_cast<uint64_t>(end - rest.begin()));
    take(1);
    return text;
  }

  // Stack
  Value* push(Value* value) {
    stack_.push_back(value);
    return value;
  }
  Value* push(Kind kind) { return push(machine_.make(kind)); }
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
  bool step_scalar(uint8_t opcode);
  bool step_container(uint8_t opcode);
  bool step_memo(uint8_t opcode);
  bool step_object(uint8_t opcode);

  void push_long(std::string_view digits) {
    if (digits.size() > sizeof(int64_t)) {
      push(Kind::BigInt)->text = digits;
      return;
    }
    uint64_t value = !digits.empty() && (digits.back() & 0x80) ? ~uint64_t{0} : 0;
    for (size_t i = digits.size(); i-- > 0;) value = value << 8 | static_cast<uint8_t>(digits[i]);
    push_int(static_cast<int64_t>(value));
  }
  void tuple_of(size_t n) {
    std::vector<Value*> items(n);
    for (size_t i = n; i-- > 0;) items[i] = pop();
    push(Kind::Tuple)->items = std::move(items);
  }
  void append(Value* to, const std::vector<Value*>& items) {
    if (to->kind == Kind::Opaque) return;  // a deque, a set of some class: what is in it isn't needed
    require(to->kind == Kind::List, "items are appended to something that is no list");
    to->items.insert(to->items.end(), items.begin(), items.end());
  }
  void set_items(Value* to, const std::vector<Value*>& items) {
    require(items.size() % 2 == 0, "a key has no value");
    if (to->kind == Kind::Opaque) return;
    require(to->kind == Kind::Dict, "items are set on something that is no dictionary");
    to->items.insert(to->items.end(), items.begin(), items.end());
  }
  void remember(uint64_t slot) { memo_[slot] = top(); }
  void recall(uint64_t slot) {
    const auto found = memo_.find(slot);
    require(found != memo_.end(), "it recalls a value that was never remembered");
    push(found->second);
  }
  Value* global(std::string_view module, std::string_view name) {
    Value* value = machine_.make(Kind::Global);
    value->module = module;
    value->text = name;
    return value;
  }

  Machine& machine_;
  std::span<const uint8_t> bytes_;
  size_t position_ = 0, opcode_at_ = 0;
  std::vector<Value*> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint64_t, Value*> memo_;
};

void Machine::Run::step(uint8_t opcode) {
  if (step_scalar(opcode) || step_container(opcode) || step_memo(opcode) || step_object(opcode)) return;
  fail("opcode " + std::to_string(opcode) + " is not one that checkpoints use");
}

bool Machine::Run::step_scalar(uint8_t opcode) {
  switch (opcode) {
    case 0x80:
      require(byte() <= 5, "its pickle protocol is newer than 5");
      return true;
    case 0x95:
      little<uint64_t>();
      return true;  // FRAME: a hint for buffering
    case 'N':
      push(Kind::None);
      return true;
    case 0x88:
      push_int(1, Kind::Bool);
      return true;
    case 0x89:
      push_int(0, Kind::Bool);
      return true;
    case 'J':
      push_int(little<int32_t>());
      return true;
    case 'K':
      push_int(byte());
      return true;
    case 'M':
      push_int(little<uint16_t>());
      return true;
    case 0x8a:
      push_long(take(byte()));
      return true;
    case 0x8b:
      push_long(take(little<uint32_t>()));
      return true;
    case 'G': {
      uint64_t bits = 0;  // big-endian
      for (const char c : take(8)) bits = bits << 8 | static_cast<uint8_t>(c);
      push(Kind::Float)->real = std::bit_cast<double>(bits);
      return true;
    }
    case 'X':
    case 'T':
    case 'B':
      push_text(take(little<uint32_t>()));
      return true;
    case 0x8c:
    case 'U':
    case 'C':
      push_text(take(byte()));
      return true;
    case 0x8d:
    case 0x8e:
    case 0x96:
      push_text(take(little<uint64_t>()));
      return true;
    default:
      return false;
  }
}

bool Machine::Run::step_container(uint8_t opcode) {
  switch (opcode) {
    case '(':
      marks_.push_back(stack_.size());
      return true;
    case '0':
      pop();
      return true;
    case '1':
      pop_to_mark();
      return true;
    case '2':
      push(top());
      return true;
    case ']':
      push(Kind::List);
      return true;
    case '}':
      push(Kind::Dict);
      return true;
    case ')':
      push(Kind::Tuple);
      return true;
    case 't': {
      auto items = pop_to_mark();
      push(Kind::Tuple)->items = std::move(items);
      return true;
    }
    case 'l': {
      auto items = pop_to_mark();
      push(Kind::List)->items = std::move(items);
      return true;
    }
    case 'd': {
      const auto items = pop_to_mark();
      set_items(push(Kind::Dict), items);
      return true;
    }
    case 0x85:
      tuple_of(1);
      return true;
    case 0x86:
      tuple_of(2);
      return true;
    case 0x87:
      tuple_of(3);
      return true;
    case 'a': {
      Value* item = pop();
      append(top(), {item});
      return true;
    }
    case 'e': {
      const auto items = pop_to_mark();
      append(top(), items);
      return true;
    }
    case 's': {
      Value* value = pop();
      Value* key = pop();
      set_items(top(), {key, value});
      return true;
    }
    case 'u': {
      const auto items = pop_to_mark();
      set_items(top(), items);
      return true;
    }
    case 0x8f:
      push(Kind::Opaque)->text = "set";
      return true;
    case 0x90:
      pop_to_mark();
      require(top()->kind == Kind::Opaque, "items are added to something that is no set");
      return true;
    case 0x91:
      pop_to_mark();
      push(Kind::Opaque)->text = "frozenset";
      return true;
    default:
      return false;
  }
}

bool Machine::Run::step_memo(uint8_t opcode) {
  switch (opcode) {
    case 'q':
      remember(byte());
      return true;
    case 'r':
      remember(little<uint32_t>());
      return true;
    case 0x94:
      remember(memo_.size());
      return true;
    case 'h':
      recall(byte());
      return true;
    case 'j':
      recall(little<uint32_t>());
      return true;
    default:
      return false;
  }
}

bool Machine::Run::step_object(uint8_t opcode) {
  const auto describe = [this](const std::string& what) { fail(what); };
  const Maker make = [this](Kind kind) { return machine_.make(kind); };
  switch (opcode) {
    case 'c': {
      const auto module = line();
      push(global(module, line()));
      return true;
    }
    case 0x93: {
      const Value* name = pop();
      const Value* module = pop();
      require(name->kind == Kind::String && module->kind == Kind::String, "a global's name is no string");
      push(global(module->text, name->text));
      return true;
    }
    case 'Q':
      push(resolve_persistent_id(*pop(), make, describe));
      return true;
    case 'R':
    case 0x81: {  // REDUCE, NEWOBJ: nothing is called; what we know is built, all else becomes an inert object
      const Value* arguments = pop();
      push(construct(*pop(), *arguments, make, describe));
      return true;
    }
    case 0x92: {
      pop();
      const Value* arguments = pop();
      push(construct(*pop(), *arguments, make, describe));
      return true;
    }
    case 'b': {  // BUILD: an object's state; an ordered dictionary carries its _metadata so
      pop();
      const Kind kind = top()->kind;
      require(kind == Kind::Opaque || kind == Kind::Dict || kind == Kind::Tensor, "a state is set on a plain value");
      return true;
    }
    default:
      return false;
  }
}

const Value& Machine::load(std::span<const uint8_t> bytes, size_t& consumed) {
  Run run(*this, bytes);
  const Value& value = run.run();
  consumed = run.position();
  return value;
}

}  // namespace cornernet::pickle
