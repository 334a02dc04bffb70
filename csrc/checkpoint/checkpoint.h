// A PyTorch checkpoint as named tensors and what its metadata says; nothing in the file is ever executed.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace cornernet {

/// Bounds of what is read: a file with more classes, or longer names of them in bytes, counts as one that names none.
inline constexpr size_t kMostClasses = 10'000, kLongestName = 256;

/// The power of two that all numbers are below. No network learns others, and sums of their products become infinite and then NaN, which a ReLU takes
/// for 0: nothing is found, and nobody knows why. One wrong bit makes most weights as large.
inline constexpr int kNumbersBelow = 48;

struct CheckpointMeta {
  std::vector<std::string> classes;  // empty when the file names none
  std::string config;                // the training configuration's text, empty when absent
  int64_t iteration = 0, epoch = 0;  // of training
};

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

/// Adam's running means of one parameter's gradient and of its square, after so many steps.
struct AdamMoments {
  double steps = 0;
  at::Tensor exp_avg, exp_avg_sq;
};

/// After so many steps that the gradients have borne the factor it doubles.
inline constexpr int64_t kScalePatience = 2000;

/// What fp16's losses are multiplied by, and the steps that their gradients have borne it.
struct LossScaling {
  double factor = 65536;
  int64_t borne = 0;
};

struct Checkpoint {
  /// In file order, a leading "module." stripped; on the CPU.
  NamedTensors tensors;
  CheckpointMeta meta;
  /// By the parameter's place among the model's parameters; empty in a file without an optimizer, or with another than Adam.
  std::map<int64_t, AdamMoments> moments;
  /// What `cornernet quantize` found for computing in 8 bits, by "<layer>.<what>"; empty in other files.
  NamedTensors quantization = {};
  /// Beside the moments, of a training in fp16.
  std::optional<LossScaling> loss_scaling = {};
};

class TensorStore;

/// A `.pth` in either of torch's containers, most of which stays in the file until it is asked for. Everything throws Error(Checkpoint) that says
/// what is wrong and where; opening throws Error(Input) when the file can't be read.
class CheckpointFile {
 public:
  /// With the optimizer's state, or without looking at it.
  explicit CheckpointFile(const std::string& path, bool with_moments = false);
  ~CheckpointFile();

  /// As of a Checkpoint, but with numbers that only read() gives.
  NamedTensors take_tensors() { return std::move(contents_.tensors); }
  NamedTensors take_quantization() { return std::move(contents_.quantization); }
  const CheckpointMeta& meta() const { return contents_.meta; }
  /// The optimizer's state, with its numbers.
  std::map<int64_t, AdamMoments> read_moments() const;
  const std::optional<LossScaling>& loss_scaling() const { return contents_.loss_scaling; }
  /// The numbers of a tensor that was taken, in memory of their own: once for each, on any thread. They are finite
  /// and below 2^kNumbersBelow unless `any_number`.
  at::Tensor read(const at::Tensor& tensor, bool any_number = false) const;
  /// After the last read(). Throws when the file was changed meanwhile.
  void close();

 private:
  std::string path_;
  std::unique_ptr<TensorStore> store_;
  Checkpoint contents_;
  std::map<int64_t, at::Tensor> steps_;  // of moments that keep them as a tensor
};

/// Whether the numbers are those of a network: finite and below 2^kNumbersBelow.
bool is_sound(const at::Tensor& tensor);

/// All of it, whatever the numbers.
Checkpoint load_checkpoint(const std::string& path);

}  // namespace cornernet
