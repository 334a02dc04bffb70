#include "checkpoint/checkpoint.h"

#include <ATen/ops/empty_strided.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "checkpoint/container.h"
#include "checkpoint/mapped_file.h"
#include "checkpoint/pickle.h"
#include "runtime/error.h"

namespace cornernet {
namespace {

using pickle::Kind;
using pickle::Value;

[[noreturn]] void fail(const std::string& what) { throw Error(ErrorCode::Checkpoint, what); }

/// Makes tensors that view the mapped file, and let go of their part of it when they are freed.
class TensorMaker {
 public:
  TensorMaker(std::shared_ptr<const MappedFile> file, const Container& container) : file_(std::move(file)), container_(container) {}

  at::Tensor make(const std::string& name, const pickle::TensorRef& tensor) {
    const pickle::StorageRef& storage = tensor.storage->storage;
    const auto found = container_.storages.find(std::string(storage.key));
    if (found == container_.storages.end()) fail("the bytes of " + name + " are missing: there is no storage " + std::string(storage.key));
    const Bytes bytes = found->second;
    const int64_t element = static_cast<int64_t>(c10::elementSize(storage.dtype));
    if (bytes.size() != static_cast<uint64_t>(storage.numel * element)) {
      fail("the storage of " + name + " has " + std::to_string(bytes.size()) + " bytes, not the " + std::to_string(storage.numel * element) +
           " that it is described with");
    }
    const auto options = at::TensorOptions(storage.dtype);
    const uint8_t* first = bytes.data() + tensor.offset * element;
    if (reinterpret_cast<uintptr_t>(first) % static_cast<uintptr_t>(element) != 0) return copy_unaligned(tensor, storage.key, bytes, options);
    // Nothing writes through it: the network copies what it folds and packs.
    return at::from_blob(const_cast<uint8_t*>(first), tensor.sizes, tensor.strides, [file = file_, bytes](void*) { file->forget(bytes); }, options);
  }

 private:
  using Copy = std::shared_ptr<std::vector<uint64_t>>;  // aligned for every type

  /// The legacy container puts storages wherever the last one ended. However many tensors share a storage, it is copied once.
  at::Tensor copy_unaligned(const pickle::TensorRef& tensor, std::string_view key, Bytes bytes, const at::TensorOptions& options) {
    Copy& copy = copies_[key];
    if (!copy) {
      copy = std::make_shared<std::vector<uint64_t>>((bytes.size() + 7) / 8);
      std::copy(bytes.begin(), bytes.end(), reinterpret_cast<uint8_t*>(copy->data()));
    }
    auto* first = reinterpret_cast<uint8_t*>(copy->data()) + tensor.offset * static_cast<int64_t>(options.dtype().itemsize());
    return at::from_blob(first, tensor.sizes, tensor.strides, [copy](void*) mutable { copy.reset(); }, options);
  }

  std::shared_ptr<const MappedFile> file_;
  const Container& container_;
  std::unordered_map<std::string_view, Copy> copies_;
};

/// A checkpoint is a dictionary with a state_dict, or is one.
const Value& state_dict_of(const Value& root) {
  if (root.kind != Kind::Dict) fail("the file holds no dictionary: it is not a checkpoint");
  const Value* inner = root.find("state_dict");
  if (!inner) return root;
  if (inner->kind != Kind::Dict) fail("the checkpoint's state_dict is no dictionary");
  return *inner;
}

std::string without_module(std::string_view name) {
  constexpr std::string_view kPrefix = "module.";  // torch's data-parallel wrappers
  return std::string(name.starts_with(kPrefix) ? name.substr(kPrefix.size()) : name);
}

std::vector<std::pair<std::string, at::Tensor>> read_tensors(const Value& root, TensorMaker& maker) {
  const Value& state_dict = state_dict_of(root);
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (size_t i = 0; i + 1 < state_dict.items.size(); i += 2) {
    const Value& key = *state_dict.items[i];
    const Value& value = *state_dict.items[i + 1];
    if (key.kind != Kind::String) fail("a key of the state_dict is no string");
    const std::string name = without_module(key.text);
    if (value.kind != Kind::Tensor) {
      const bool made = value.kind == Kind::Opaque || value.kind == Kind::Global;
      fail("the state_dict's " + name + " is no tensor" + (made ? " but of " + value.qualified_name() + ", which is not read" : std::string()));
    }
    tensors.emplace_back(name, maker.make(name, value.tensor));
  }
  if (tensors.empty()) fail("the checkpoint holds no tensors");
  return tensors;
}

std::vector<std::string> strings_of(const Value* list) {
  std::vector<std::string> strings;
  if (!list || (list->kind != Kind::Tuple && list->kind != Kind::List)) return strings;
  for (const Value* item : list->items) {
    if (item->kind != Kind::String) return {};
    strings.emplace_back(item->text);
  }
  return strings;
}

const Value* find_in(const Value* dict, std::initializer_list<std::string_view> keys) {
  if (!dict || dict->kind != Kind::Dict) return nullptr;
  for (const std::string_view key : keys) {
    if (const Value* found = dict->find(key)) return found;
  }
  return nullptr;
}

/// What can't be read is left out: metadata only helps.
CheckpointMeta read_meta(const Value& root) {
  CheckpointMeta meta;
  const Value* values = find_in(&root, {"meta"});
  meta.classes = strings_of(find_in(values, {"CLASSES"}));
  if (meta.classes.empty()) meta.classes = strings_of(find_in(find_in(values, {"dataset_meta"}), {"classes", "CLASSES"}));
  const Value* config = find_in(values, {"config", "cfg"});
  if (config && config->kind == Kind::String) meta.config = config->text;
  return meta;
}

Checkpoint read(const std::shared_ptr<const MappedFile>& file) {
  pickle::Unpickler unpickler("the checkpoint's pickle");
  const Container container = is_zip(file->bytes()) ? open_zip(file->bytes(), unpickler) : open_legacy(file->bytes(), unpickler);
  TensorMaker maker(file, container);
  return {read_tensors(*container.root, maker), read_meta(*container.root)};
}

}  // namespace

Checkpoint load_checkpoint(const std::string& path) {
  try {
    return read(MappedFile::open(path));
  } catch (const Error& error) {
    throw Error(error.code(), "the checkpoint " + path + ": " + error.what());
  }
}

}  // namespace cornernet
