// A checkpoint's tensors: where in the file their numbers are, and reading those when they are asked for.
#pragma once
#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "checkpoint/container.h"
#include "checkpoint/file_bytes.h"

namespace cornernet {

/// Memory that reads take turns with: fresh pages cost more than the reading does.
class ReadBuffers {
 public:
  ReadBuffers() { kept_.reserve(kMostKept); }
  /// At least so many bytes.
  at::Tensor take(size_t size);
  void give_back(at::Tensor buffer);

 private:
  static constexpr size_t kMostKept = 4, kLargestKept = size_t{16} << 20;
  std::mutex mutex_;
  std::vector<at::Tensor> kept_;
};

class TensorStore {
 public:
  TensorStore(std::shared_ptr<FileBytes> file, Container container) : file_(std::move(file)), container_(std::move(container)) {}

  /// A tensor of this shape and type, whose numbers only read() gives. Throws Error(Checkpoint) when the file can't hold it.
  at::Tensor place(const std::string& name, const pickle::TensorRef& tensor);
  /// After the last place(). Throws Error(Checkpoint) when storages overlap, or what several tensors share is not what its checksum says.
  void settle();
  /// A tensor with the numbers of one that place() gave, in memory of its own; on any thread. Throws Error(Checkpoint) when they are not what their
  /// checksum says or, unless `any_number`, not as is_sound() wants them.
  at::Tensor read(const at::Tensor& placed, bool any_number) const;
  /// Throws Error(Checkpoint) when the file is not what it was at first. Nothing can be read any more.
  void close() { file_->close_unchanged(); }

 private:
  struct Storage {
    std::string name;  // of its first tensor
    std::string_view key;
    at::ScalarType dtype;
    StoredBytes stored;
    int tensors = 0;
  };
  void check_shared(const Storage& storage) const;
  static void check_crc(const Storage& storage, uint32_t crc);

  std::shared_ptr<FileBytes> file_;
  std::shared_ptr<ReadBuffers> buffers_ = std::make_shared<ReadBuffers>();
  Container container_;
  std::map<const uint8_t*, Storage> storages_;   // by where their bytes begin
  std::map<const uint8_t*, std::string> names_;  // of tensors, by where they begin
  uint64_t total_bytes_ = 0;
};

}  // namespace cornernet
