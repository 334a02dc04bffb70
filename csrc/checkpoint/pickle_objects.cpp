#include "checkpoint/pickle_objects.h"

#include <optional>
#include <utility>

#include "runtime/error.h"

namespace cornernet::pickle {
namespace {

constexpr std::pair<std::string_view, c10::ScalarType> kStorageClasses[] = {
    {"FloatStorage", c10::kFloat}, {"DoubleStorage", c10::kDouble}, {"HalfStorage", c10::kHalf},   {"BFloat16Storage", c10::kBFloat16},
    {"LongStorage", c10::kLong},   {"IntStorage", c10::kInt},       {"ShortStorage", c10::kShort}, {"CharStorage", c10::kChar},
    {"ByteStorage", c10::kByte},   {"BoolStorage", c10::kBool}};

constexpr size_t kMaxDimensions = 8, kMaxKey = 256;

bool is_global(const Value& value, std::string_view module, std::string_view name) {
  return value.kind == Kind::Global && value.module == module && value.text == name;
}

std::optional<c10::ScalarType> storage_dtype(const Value& value) {
  if (value.kind != Kind::Global || value.module != "torch") return std::nullopt;
  for (const auto& [name, dtype] : kStorageClasses) {
    if (value.text == name) return dtype;
  }
  return std::nullopt;
}

std::optional<std::vector<int64_t>> integers(const Value& value) {
  if ((value.kind != Kind::Tuple && value.kind != Kind::List) || value.items.size() > kMaxDimensions) return std::nullopt;
  std::vector<int64_t> numbers;
  for (const Value* item : value.items) {
    if (item->kind != Kind::Int || item->integer < 0) return std::nullopt;
    numbers.push_back(item->integer);
  }
  return numbers;
}

/// One past the last element that the tensor reaches in its storage; empty on overflow.
std::optional<int64_t> extent(const TensorRef& tensor) {
  int64_t last = tensor.offset, elements = 1;
  for (size_t i = 0; i < tensor.sizes.size(); ++i) {
    if (tensor.sizes[i] == 0) return tensor.offset;
    int64_t reach;
    if (__builtin_mul_overflow(tensor.sizes[i] - 1, tensor.strides[i], &reach) || __builtin_add_overflow(last, reach, &last)) return std::nullopt;
    // Strides of 0 repeat an element: a short storage must not stand for terabytes.
    if (__builtin_mul_overflow(elements, tensor.sizes[i], &elements)) return std::nullopt;
  }
  if (last == INT64_MAX || elements > last + 1) return std::nullopt;
  return last + 1;
}

Value* rebuild_tensor(const Value& arguments, const Maker& make, const Failure& fail) {
  const auto& items = arguments.items;
  if (items.size() < 4 || items[0]->kind != Kind::Storage || items[1]->kind != Kind::Int || items[1]->integer < 0) {
    fail("a tensor is rebuilt from operands of the wrong type");
  }
  auto sizes = integers(*items[2]), strides = integers(*items[3]);
  if (!sizes || !strides || sizes->size() != strides->size()) fail("a tensor's sizes or strides are invalid");
  Value* tensor = make(Kind::Tensor);
  tensor->tensor = {items[0], items[1]->integer, std::move(*sizes), std::move(*strides)};
  const auto end = extent(tensor->tensor);
  if (!end) fail("a tensor's size overflows, or it repeats its storage's elements");
  if (*end > items[0]->storage.numel) {
    fail("a tensor reaches element " + std::to_string(*end) + " of a storage of " + std::to_string(items[0]->storage.numel));
  }
  return tensor;
}

Value* opaque(const Value& callee, const Maker& make) {
  Value* value = make(Kind::Opaque);
  value->module = callee.module;
  value->text = callee.text;
  return value;
}

}  // namespace

std::string_view storage_class(c10::ScalarType dtype) {
  for (const auto& [name, known] : kStorageClasses) {
    if (known == dtype) return name;
  }
  throw Error(ErrorCode::Internal, std::string("no checkpoint holds tensors of ") + c10::toString(dtype));
}

Value* construct(const Value& callee, const Value& arguments, const Maker& make, const Failure& fail) {
  if (callee.kind != Kind::Global && callee.kind != Kind::Opaque) fail("something that is no class or function is called");
  if (arguments.kind != Kind::Tuple) fail("a call's arguments are no tuple");
  if (is_global(callee, "torch._utils", "_rebuild_tensor_v2") || is_global(callee, "torch._utils", "_rebuild_tensor")) {
    return rebuild_tensor(arguments, make, fail);
  }
  if (is_global(callee, "torch._utils", "_rebuild_parameter")) {
    if (arguments.items.empty() || arguments.items[0]->kind != Kind::Tensor) fail("a parameter is rebuilt from something that is no tensor");
    return arguments.items[0];
  }
  if (is_global(callee, "collections", "OrderedDict")) {
    Value* dict = make(Kind::Dict);
    if (arguments.items.size() == 1 && arguments.items[0]->kind == Kind::List) {  // Python 2 wrote a list of pairs
      // Taken out of the list, which nothing else needs: a file could have it copied once for every few bytes.
      for (const Value* pair : std::exchange(arguments.items[0]->items, {})) {
        if ((pair->kind != Kind::List && pair->kind != Kind::Tuple) || pair->items.size() != 2)
          fail("an ordered dictionary is made of something that is no pairs");
        dict->items.insert(dict->items.end(), pair->items.begin(), pair->items.end());
      }
    }
    return dict;
  }
  if (is_global(callee, "torch", "Size") && arguments.items.size() == 1 && arguments.items[0]->kind == Kind::Tuple) return arguments.items[0];
  return opaque(callee, make);
}

Value* resolve_persistent_id(const Value& id, const Maker& make, const Failure& fail) {
  const auto& items = id.items;
  if (id.kind != Kind::Tuple || items.size() < 5 || items[0]->kind != Kind::String || items[0]->text != "storage")
    fail("a persistent id names no storage");
  const auto dtype = storage_dtype(*items[1]);
  if (!dtype) fail("a storage has an unknown type" + (items[1]->kind == Kind::Global ? " (" + items[1]->qualified_name() + ")" : std::string()));
  if (items[2]->kind != Kind::String || items[4]->kind != Kind::Int) fail("a storage's key or size has the wrong type");
  if (items[2]->text.size() > kMaxKey) fail("a storage's key has " + std::to_string(items[2]->text.size()) + " characters");
  int64_t bytes;
  if (items[4]->integer < 0 || __builtin_mul_overflow(items[4]->integer, static_cast<int64_t>(c10::elementSize(*dtype)), &bytes))
    fail("a storage's size is negative or overflows");
  if (items.size() > 5 && items[5]->kind != Kind::None) fail("a storage is a view of another, which torch stopped writing in 2017");
  Value* storage = make(Kind::Storage);
  storage->storage = {*dtype, items[2]->text, items[4]->integer};
  return storage;
}

}  // namespace cornernet::pickle
