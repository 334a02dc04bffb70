// A PyTorch checkpoint as named tensors and what its metadata says; nothing in the file is ever executed.
#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace cornernet {

struct CheckpointMeta {
  std::vector<std::string> classes;  // empty when the file names none
  std::string config;                // the training configuration's text, empty when absent
};

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

struct Checkpoint {
  /// In file order, a leading "module." stripped; on the CPU.
  NamedTensors tensors;
  CheckpointMeta meta;
};

class TensorStore;

/// A `.pth` in either of torch's containers, most of which stays in the file until it is asked for. Everything throws Error(Checkpoint) that says what
/// is wrong and where; opening throws Error(Input) when the file can't be read.
class CheckpointFile {
 public:
  explicit CheckpointFile(const std::string& path);
  ~CheckpointFile();

  /// As of a Checkpoint, but with numbers that only read() gives.
  NamedTensors take_tensors() { return std::move(contents_.tensors); }
  const CheckpointMeta& meta() const { return contents_.meta; }
  /// The numbers of a tensor that was taken, in memory of their own: once for each, on any thread. They are finite unless `any_number`.
  at::Tensor read(const at::Tensor& tensor, bool any_number = false) const;
  /// After the last read(). Throws when the file was changed meanwhile.
  void close();

 private:
  std::string path_;
  std::unique_ptr<TensorStore> store_;
  Checkpoint contents_;
};

/// All of it, whatever the numbers.
Checkpoint load_checkpoint(const std::string& path);

}  // namespace cornernet
