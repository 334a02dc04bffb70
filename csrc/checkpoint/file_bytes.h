// A file's bytes in memory of this process's own, read when they are asked for: what happens to the file later changes nothing here.
#pragma once
#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace cornernet {

using Bytes = std::span<const uint8_t>;

class FileBytes {
 public:
  /// Throws Error(Input) when the file can't be opened or is no regular file, Error(Checkpoint) when it is empty.
  static std::shared_ptr<FileBytes> open(const std::string& path);
  ~FileBytes();
  FileBytes(const FileBytes&) = delete;
  FileBytes& operator=(const FileBytes&) = delete;

  /// Where the file's bytes are once read() has put them there; untouched parts take no memory.
  Bytes bytes() const { return {data_, size_}; }
  /// Reads a part of bytes() there or elsewhere, on any thread. Throws Error(Checkpoint) when the file ends before it or the disk fails.
  void read(Bytes part) const { read(part, const_cast<uint8_t*>(part.data())); }
  void read(Bytes part, uint8_t* to) const;
  /// Closes the file after the last read. Throws Error(Checkpoint) when it is not what it was at open().
  void close_unchanged();

 private:
  FileBytes(int fd, const struct stat& status, uint8_t* data);
  int fd_;
  const struct stat status_;
  uint8_t* const data_;
  const size_t size_;
};

}  // namespace cornernet
