#include <algorithm>
#include <cstring>
#include <string_view>

#include "checkpoint/container.h"
#include "runtime/error.h"

namespace cornernet {
namespace {

// torch/serialization.py: MAGIC_NUMBER and PROTOCOL_VERSION.
constexpr std::string_view kMagic("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10);
constexpr int64_t kProtocol = 1001;

using Storages = std::unordered_map<std::string_view, const pickle::Value*>;

/// The storages that the pickles name, those of skipped objects too: a list of keys says in which order their bytes come, but not how long they are.
Storages described_storages(const pickle::Unpickler& unpickler) {
  Storages storages;
  for (const pickle::Value& value : unpickler.values()) {
    if (value.kind != pickle::Kind::Storage) continue;
    const auto [known, fresh] = storages.emplace(value.storage.key, &value);
    if (!fresh && (known->second->storage.numel != value.storage.numel || known->second->storage.dtype != value.storage.dtype)) {
      refuse_checkpoint("the storage " + std::string(value.storage.key) + " is described in two ways");
    }
  }
  return storages;
}

/// `rest` is left behind it.
void check_header(Bytes& rest, pickle::Unpickler& unpickler, const Demand& demand) {
  const pickle::Value& magic = unpickler.load(rest, demand);
  if (magic.kind != pickle::Kind::BigInt || magic.text != kMagic)
    refuse_checkpoint("the file is not a checkpoint: torch.save's magic number is missing");
  const pickle::Value& protocol = unpickler.load(rest, demand);
  if (protocol.kind != pickle::Kind::Int || protocol.integer != kProtocol) refuse_checkpoint("the checkpoint's protocol is not torch.save's 1001");
  const pickle::Value& system = unpickler.load(rest, demand);
  const pickle::Value* little = system.find("little_endian");
  require_little_endian(!little || little->kind != pickle::Kind::Bool || little->integer != 0);
}

}  // namespace

Container open_legacy(Bytes file, pickle::Unpickler& unpickler, const Demand& demand) {
  size_t pickled = 0;
  const Demand pickles = [&](Bytes part) {
    pickled += part.size();
    if (pickled > kMostPickle) refuse_checkpoint("its pickles have more than " + std::to_string(kMostPickle) + " bytes");
    if (demand) demand(part);
  };
  Bytes rest = file;
  check_header(rest, unpickler, pickles);
  Container container;
  container.root = &unpickler.load(rest, pickles);
  const pickle::Value& keys = unpickler.load(rest, pickles);
  if (keys.kind != pickle::Kind::List) refuse_checkpoint("the checkpoint's list of storages is missing");
  const Storages described = described_storages(unpickler);
  for (const pickle::Value* key : keys.items) {
    const auto found = key->kind == pickle::Kind::String ? described.find(key->text) : described.end();
    if (found == described.end()) refuse_checkpoint("the file holds a storage that its object does not describe");
    const pickle::StorageRef& storage = found->second->storage;
    int64_t numel;
    if (rest.size() < sizeof(numel)) refuse_checkpoint("the file is cut off before storage " + std::string(storage.key));
    if (demand) demand(rest.first(sizeof(numel)));
    std::memcpy(&numel, rest.data(), sizeof(numel));
    if (numel != storage.numel) {
      refuse_checkpoint("storage " + std::string(storage.key) + " has " + std::to_string(numel) + " elements in the file, " +
                        std::to_string(storage.numel) + " by its description");
    }
    rest = rest.subspan(sizeof(numel));
    const auto size = static_cast<uint64_t>(numel) * c10::elementSize(storage.dtype);
    if (size > rest.size()) {
      refuse_checkpoint("storage " + std::string(storage.key) + " needs " + std::to_string(size) + " bytes, but " + std::to_string(rest.size()) +
                        " are left (the file is cut off?)");
    }
    container.storages.emplace(storage.key, StoredBytes{rest.first(static_cast<size_t>(size)), std::nullopt});
    rest = rest.subspan(static_cast<size_t>(size));
  }
  return container;
}

}  // namespace cornernet
