#include "checkpoint/pickle_writer.h"

#include <c10/util/strides.h>

#include <bit>
#include <limits>

#include "checkpoint/pickle_objects.h"
#include "runtime/error.h"

namespace cornernet::pickle {

Writer::Writer() { op(0x80), op(2); }

void Writer::integer(int64_t value) {
  if (value >= std::numeric_limits<int32_t>::min() && value <= std::numeric_limits<int32_t>::max()) {
    op('J');
    little(static_cast<int32_t>(value));
    return;
  }
  op(0x8a);
  op(sizeof value);
  little(value);
}

void Writer::real(double value) {
  op('G');
  little(__builtin_bswap64(std::bit_cast<uint64_t>(value)));  // big-endian
}

void Writer::text(std::string_view value) {
  op('X');
  little(static_cast<uint32_t>(value.size()));
  bytes_.append(value);
}

void Writer::global(std::string_view module, std::string_view name) {
  op('c');
  bytes_.append(module).append("\n").append(name).append("\n");
}

void Writer::empty_ordered_dict() {
  global("collections", "OrderedDict");
  op(')'), op('R');
}

void Writer::begin_ordered_dict() {
  empty_ordered_dict();
  op('(');
}

std::string Writer::tensor(const at::Tensor& tensor) {
  const std::string key = std::to_string(storages_++);
  global("torch._utils", "_rebuild_tensor_v2");
  op('(');
  begin_tuple();
  text("storage");
  global("torch", storage_class(tensor.scalar_type()));
  text(key);
  text("cpu");
  integer(tensor.numel());
  end_tuple();
  op('Q');
  integer(0);  // where it begins in the storage
  const auto dense = c10::contiguous_strides(tensor.sizes());
  for (const at::IntArrayRef numbers : {tensor.sizes(), tensor.is_contiguous() ? tensor.strides() : at::IntArrayRef(dense)}) {
    begin_tuple();
    for (const int64_t number : numbers) integer(number);
    end_tuple();
  }
  boolean(false);        // requires_grad
  empty_ordered_dict();  // its hooks
  op('t'), op('R');
  return key;
}

std::string Writer::finish() {
  op('.');
  return std::move(bytes_);
}

}  // namespace cornernet::pickle
