#include "checkpoint/tensor_store.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/util/accumulate.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <utility>

#include "checkpoint/checkpoint.h"
#include "checkpoint/crc32.h"
#include "runtime/error.h"
#include "runtime/interrupt.h"

namespace cornernet {
namespace {

/// Whether all exponents, with their bias, are below `most`, which infinities and NaN are above. Of signed bits: processors compare those faster.
template <typename Bits>
bool all_below(Bytes bytes, Bits exponent, Bits most) {
  Bits found = 0;
  for (size_t at = 0; at + sizeof(Bits) <= bytes.size(); at += sizeof(Bits)) {
    Bits bits;
    std::memcpy(&bits, bytes.data() + at, sizeof(Bits));
    found |= static_cast<Bits>((bits & exponent) >= most);
  }
  return found == 0;
}

/// The same of whole numbers' magnitudes.
bool all_below(Bytes bytes, int64_t most) {
  bool found = false;
  for (size_t at = 0; at + sizeof(most) <= bytes.size(); at += sizeof(most)) {
    int64_t number;
    std::memcpy(&number, bytes.data() + at, sizeof(number));
    found |= number <= -most || number >= most;
  }
  return !found;
}

/// As is_sound(), of a part of a tensor.
bool are_sound(at::ScalarType type, Bytes bytes) {
  constexpr int kMost = kNumbersBelow;
  switch (type) {
    case at::kFloat:
      return all_below<int32_t>(bytes, 0x7f800000, (127 + kMost) << 23);
    case at::kDouble:
      return all_below<int64_t>(bytes, 0x7ff0000000000000, (int64_t{1023} + kMost) << 52);
    case at::kHalf:
      return all_below<int16_t>(bytes, 0x7c00, 0x7c00);
    case at::kBFloat16:
      return all_below<int16_t>(bytes, 0x7f80, (127 + kMost) << 7);
    case at::kLong:
      return all_below(bytes, int64_t{1} << kMost);
    default:
      return true;
  }
}

/// look(part) of all parts, each of which stays in the core's cache from one look to the next.
constexpr size_t kPart = size_t{256} << 10;
template <typename Look>
void in_parts(Bytes bytes, const Look& look) {
  for (size_t done = 0; done < bytes.size(); done += kPart) {
    check_interrupted();
    look(bytes.subspan(done, std::min(kPart, bytes.size() - done)));
  }
}

}  // namespace

bool is_sound(const at::Tensor& tensor) {
  const at::Tensor dense = tensor.is_non_overlapping_and_dense() ? tensor : tensor.contiguous();  // in whichever order
  return are_sound(dense.scalar_type(), Bytes(static_cast<const uint8_t*>(dense.const_data_ptr()), dense.nbytes()));
}

at::Tensor ReadBuffers::take(size_t size) {
  {
    const std::lock_guard lock(mutex_);
    // What is read may stay with whoever asked: a bias doesn't hold the memory of a layer's weights.
    const auto fits = [size](const at::Tensor& buffer) { return buffer.nbytes() >= size && buffer.nbytes() <= 2 * size; };
    if (const auto found = std::find_if(kept_.begin(), kept_.end(), fits); found != kept_.end()) {
      at::Tensor buffer = std::move(*found);
      kept_.erase(found);
      return buffer;
    }
  }
  return at::empty({static_cast<int64_t>(size)}, at::TensorOptions(at::kByte));
}

void ReadBuffers::give_back(at::Tensor buffer) {
  const std::lock_guard lock(mutex_);
  if (buffer.nbytes() > kLargestKept) return;
  if (kept_.size() == kMostKept) kept_.erase(kept_.begin());
  kept_.push_back(std::move(buffer));
}

at::Tensor TensorStore::place(const std::string& name, const pickle::TensorRef& tensor) {
  const auto& [dtype, key, numel] = tensor.storage->storage;
  const auto found = container_.storages.find(std::string(key));
  if (found == container_.storages.end()) refuse_checkpoint("the bytes of " + name + " are missing: there is no storage " + std::string(key));
  const auto element = static_cast<int64_t>(c10::elementSize(dtype));
  const StoredBytes& stored = found->second;
  if (stored.bytes.size() != static_cast<uint64_t>(numel * element)) {
    refuse_checkpoint("the storage of " + name + " has " + std::to_string(stored.bytes.size()) + " bytes, not the " +
                      std::to_string(numel * element) + " that it is described with");
  }
  const at::TensorOptions options(dtype);
  if (c10::multiply_integers(tensor.sizes) == 0) return at::empty(tensor.sizes, options);
  // Its address says where its numbers are; what is there is not read yet.
  auto* const first = const_cast<uint8_t*>(stored.bytes.data()) + tensor.offset * element;
  const at::Tensor placed = at::from_blob(first, tensor.sizes, tensor.strides, [file = file_](void*) {}, options);
  total_bytes_ += std::max(placed.nbytes(), placed.storage().nbytes());  // with what lies between its numbers
  if (total_bytes_ > file_->bytes().size()) refuse_checkpoint("its tensors are larger than the file: they share their storages");
  Storage& storage = storages_.try_emplace(stored.bytes.data(), Storage{name, key, dtype, stored}).first->second;
  if (storage.key != key) refuse_checkpoint("the storages of " + storage.name + " and " + name + " overlap");
  if (storage.dtype != dtype) refuse_checkpoint("the storage of " + name + " is described in two ways");
  ++storage.tensors;
  names_.emplace(first, name);
  return placed;
}

void TensorStore::settle() {
  const uint8_t* end = nullptr;
  for (const auto& [first, storage] : storages_) {
    if (first < end) refuse_checkpoint("the storage of " + storage.name + " overlaps another");
    end = first + storage.stored.bytes.size();
    if (storage.tensors > 1 && storage.stored.crc32) check_shared(storage);
  }
}

void TensorStore::check_shared(const Storage& storage) const {
  std::array<uint8_t, kPart> room;
  uint32_t crc = 0;
  in_parts(storage.stored.bytes, [&](Bytes part) {
    file_->read(part, room.data());
    crc = crc32(crc, Bytes(room).first(part.size()));
  });
  check_crc(storage, crc);
}

void TensorStore::check_crc(const Storage& storage, uint32_t crc) {
  if (crc != *storage.stored.crc32) refuse_checkpoint("the bytes of " + storage.name + " are not what their checksum says: the file is damaged");
}

at::Tensor TensorStore::read(const at::Tensor& placed, bool any_number) const {
  if (placed.numel() == 0) return placed;
  const auto* const place = static_cast<const uint8_t*>(placed.const_data_ptr());
  const Storage& storage = std::prev(storages_.upper_bound(place))->second;
  // Of what several share its own part alone, or all of it would be held beside them.
  const bool alone = storage.tensors == 1, summed = alone && storage.stored.crc32.has_value();
  const Bytes bytes = alone ? storage.stored.bytes : Bytes(place, placed.storage().nbytes());
  at::Tensor room = buffers_->take(bytes.size());
  auto* const to = room.mutable_data_ptr<uint8_t>();
  uint32_t crc = 0;
  bool sound = true;
  in_parts(bytes, [&](Bytes part) {
    const Bytes here(to + (part.data() - bytes.data()), part.size());
    file_->read(part, const_cast<uint8_t*>(here.data()));
    if (summed) crc = crc32(crc, here);
    sound = sound && are_sound(storage.dtype, here);
  });
  if (summed) check_crc(storage, crc);
  if (!sound && !any_number)
    refuse_checkpoint(names_.at(place) + " holds numbers that are not finite, or 2^" + std::to_string(kNumbersBelow) + " and more");
  return at::from_blob(
      to + (place - bytes.data()), placed.sizes(), placed.strides(),
      [room, buffers = buffers_](void*) mutable { buffers->give_back(std::move(room)); }, placed.options());
}

}  // namespace cornernet
