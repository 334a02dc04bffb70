// A PyTorch checkpoint as named tensors and what its metadata says; nothing in the file is ever executed.
#pragma once
#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

namespace cornernet {

struct CheckpointMeta {
  std::vector<std::string> classes;  // empty when the file names none
  std::string config;                // the training configuration's text, empty when absent
};

struct Checkpoint {
  /// In file order, a leading "module." stripped; CPU tensors that keep their storage (a memory map or a copy) alive by themselves.
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  CheckpointMeta meta;
};

/// Reads a `.pth` in either of torch's containers. Throws Error(Checkpoint) that says what is wrong and where, Error(Input) when the file can't be
/// read.
Checkpoint load_checkpoint(const std::string& path);

}  // namespace cornernet
