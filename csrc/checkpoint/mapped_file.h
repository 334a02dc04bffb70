// A file mapped into memory for reading.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace cornernet {

class MappedFile {
 public:
  /// Throws Error(Input) when the file can't be read, Error(Checkpoint) when it is empty or a folder.
  static std::shared_ptr<const MappedFile> open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const uint8_t> bytes() const { return {data_, size_}; }
  /// Gives the pages of a part that nobody reads any more back to the page cache, so that they stop counting as this process's memory.
  void forget(std::span<const uint8_t> part) const;

 private:
  MappedFile(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  const uint8_t* data_;
  size_t size_;
};

}  // namespace cornernet
