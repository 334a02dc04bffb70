#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>

#include "checkpoint/container.h"
#include "checkpoint/crc32.h"
#include "runtime/error.h"
#include "runtime/interrupt.h"

// The layout of a zip archive: PKWARE's APPNOTE.TXT, sections 4.3.7, 4.3.12, 4.3.14 to 4.3.16, 4.5.3.
namespace cornernet {
namespace {

constexpr uint32_t kLocalHeader = 0x04034b50, kDirectoryEntry = 0x02014b50, kEnd = 0x06054b50, kEnd64 = 0x06064b50, kEnd64Locator = 0x07064b50;
constexpr size_t kLocalHeaderSize = 30, kDirectoryEntrySize = 46, kEndSize = 22, kEnd64LocatorSize = 20, kMaxComment = 65535;
constexpr size_t kEnd64Size = 56;
constexpr uint32_t kIn64 = 0xffffffff;
// Some fifteen times what a training-time HourglassNet-104 has, and far longer names.
constexpr uint64_t kMaxRecords = 50'000;
constexpr size_t kMaxName = 512;

[[noreturn]] void refuse_zip(const std::string& what) { refuse_checkpoint("the zip container is damaged: " + what); }

template <typename T>
T read(Bytes bytes, uint64_t at) {
  if (at > bytes.size() || bytes.size() - at < sizeof(T)) refuse_zip("it ends within a header");
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

Bytes part(Bytes bytes, uint64_t at, uint64_t size, const std::string& what) {
  if (at > bytes.size() || size > bytes.size() - at) refuse_zip(what + " reaches beyond the end of the file");
  return bytes.subspan(static_cast<size_t>(at), static_cast<size_t>(size));
}

/// A file, of which only what was demanded may be looked at.
struct Archive {
  Bytes file;
  const Demand& demand;

  Bytes demanded(uint64_t at, uint64_t size, const std::string& what) const {
    const Bytes wanted = part(file, at, size, what);
    if (demand) demand(wanted);
    return wanted;
  }
};

struct Directory {
  uint64_t offset, entries;
  uint64_t end;  // an upper bound
};

Directory find_directory(const Archive& archive) {
  const Bytes file = archive.file;
  if (file.size() < kEndSize) refuse_zip("it is too short");
  const uint64_t tail = std::min<uint64_t>(file.size(), kEnd64LocatorSize + kEndSize + kMaxComment);
  archive.demanded(file.size() - tail, tail, "its end");
  const size_t lowest = file.size() - std::min(file.size(), kEndSize + kMaxComment);
  size_t at = file.size() - kEndSize;
  while (read<uint32_t>(file, at) != kEnd) {
    if (at-- == lowest) refuse_zip("its directory is missing (the file is cut off?)");
  }
  Directory directory{read<uint32_t>(file, at + 16), read<uint16_t>(file, at + 10), at};
  const bool in64 = directory.offset == kIn64 || directory.entries == 0xffff;
  if (in64 && at >= kEnd64LocatorSize && read<uint32_t>(file, at - kEnd64LocatorSize) == kEnd64Locator) {
    const auto end64 = read<uint64_t>(file, at - kEnd64LocatorSize + 8);
    archive.demanded(end64, kEnd64Size, "its 64-bit directory");
    if (read<uint32_t>(file, end64) != kEnd64) refuse_zip("its 64-bit directory is missing");
    directory = {read<uint64_t>(file, end64 + 48), read<uint64_t>(file, end64 + 32), at};
  }
  if (directory.entries > kMaxRecords) refuse_zip("it has more than " + std::to_string(kMaxRecords) + " records");
  if (directory.offset > directory.end) refuse_zip("its directory reaches beyond the end of the file");
  archive.demanded(directory.offset, directory.end - directory.offset, "its directory");
  return directory;
}

struct Entry {
  std::string_view name;
  uint64_t size, stored_size, local_header;
  uint16_t method;
  uint32_t crc32;
};

/// Sizes and offsets of 2^32 - 1 stand in the extra field, in a fixed order.
void read_extra64(Bytes extra, Entry& entry) {
  for (uint64_t at = 0; at + 4 <= extra.size();) {
    const auto tag = read<uint16_t>(extra, at);
    const auto size = read<uint16_t>(extra, at + 2);
    if (tag == 1) {
      uint64_t field = at + 4;
      for (uint64_t* value : {&entry.size, &entry.stored_size, &entry.local_header}) {
        if (*value != kIn64) continue;
        *value = read<uint64_t>(extra, field);
        field += 8;
      }
      return;
    }
    at += 4 + uint64_t{size};
  }
}

StoredBytes content(const Archive& archive, const Entry& entry) {
  const std::string name(entry.name);
  if (entry.method != 0 || entry.size != entry.stored_size) refuse_zip("record " + name + " is compressed, which torch.save never does");
  const Bytes header = archive.demanded(entry.local_header, kLocalHeaderSize, "the header of record " + name);
  if (read<uint32_t>(header, 0) != kLocalHeader) refuse_zip("record " + name + " has no header");
  const uint64_t skip = uint64_t{read<uint16_t>(header, 26)} + read<uint16_t>(header, 28);
  const Bytes bytes = part(archive.file, entry.local_header + kLocalHeaderSize + skip, entry.size, "record " + name);
  // 0 is what torch writes when it is told to compute none.
  return {bytes, entry.crc32 == 0 ? std::nullopt : std::optional(entry.crc32)};
}

/// The record's bytes, demanded and compared with their checksum.
Bytes checked(const StoredBytes& record, const Archive& archive, const std::string& name) {
  if (archive.demand) archive.demand(record.bytes);
  if (record.crc32 && crc32(0, record.bytes) != *record.crc32) refuse_zip("record " + name + " is not what its checksum says");
  return record.bytes;
}

std::unordered_map<std::string_view, StoredBytes> read_records(const Archive& archive) {
  const Bytes file = archive.file;
  const Directory directory = find_directory(archive);
  std::unordered_map<std::string_view, StoredBytes> records;
  uint64_t at = directory.offset;
  for (uint64_t i = 0; i < directory.entries; ++i) {
    if (read<uint32_t>(file, at) != kDirectoryEntry) refuse_zip("its directory is broken at entry " + std::to_string(i));
    const auto name_size = read<uint16_t>(file, at + 28), extra_size = read<uint16_t>(file, at + 30), comment_size = read<uint16_t>(file, at + 32);
    check_interrupted();
    if (name_size > kMaxName) refuse_zip("a record's name has " + std::to_string(name_size) + " characters");
    const Bytes name = part(file, at + kDirectoryEntrySize, name_size, "a record's name");
    Entry entry{{reinterpret_cast<const char*>(name.data()), name.size()},
                read<uint32_t>(file, at + 24),
                read<uint32_t>(file, at + 20),
                read<uint32_t>(file, at + 42),
                read<uint16_t>(file, at + 10),
                read<uint32_t>(file, at + 16)};
    read_extra64(part(file, at + kDirectoryEntrySize + name_size, extra_size, "a record's extra field"), entry);
    if (!records.emplace(entry.name, content(archive, entry)).second) refuse_zip("record " + std::string(entry.name) + " is there twice");
    at += kDirectoryEntrySize + name_size + extra_size + comment_size;
  }
  return records;
}

}  // namespace

bool is_zip(Bytes file, const Demand& demand) {
  return file.size() >= 4 && read<uint32_t>(Archive{file, demand}.demanded(0, 4, "its beginning"), 0) == kLocalHeader;
}

Container open_zip(Bytes file, pickle::Unpickler& unpickler, const Demand& demand) {
  const Archive archive{file, demand};
  constexpr std::string_view kPickle = "/data.pkl", kData = "/data/", kByteOrder = "/byteorder";
  const auto records = read_records(archive);
  const auto object = std::find_if(records.begin(), records.end(), [&](const auto& record) {
    return record.first.ends_with(kPickle) && record.first.find('/') == record.first.size() - kPickle.size();
  });
  if (object == records.end()) refuse_checkpoint("the zip archive holds no data.pkl: it was not written by torch.save");
  const std::string folder(object->first.substr(0, object->first.size() - kPickle.size()));
  const auto order = records.find(folder + std::string(kByteOrder));
  if (order != records.end()) {
    const Bytes stated = checked(order->second, archive, "byteorder");
    require_little_endian(std::string_view(reinterpret_cast<const char*>(stated.data()), stated.size()) == "little");
  }
  Container container;
  if (object->second.bytes.size() > kMostPickle) refuse_zip("its data.pkl has more than " + std::to_string(kMostPickle) + " bytes");
  Bytes object_pickle = checked(object->second, archive, "data.pkl");
  container.root = &unpickler.load(object_pickle);
  const std::string data = folder + std::string(kData);
  for (const auto& [name, stored] : records) {
    if (name.starts_with(data)) container.storages.emplace(name.substr(data.size()), stored);
  }
  return container;
}

}  // namespace cornernet
