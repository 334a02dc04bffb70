// The facade of training: plain structs, no torch. Everything it throws is a cornernet::Error.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "train/process_group.h"
#include "train/sample.h"

namespace cornernet::train {

/// A network's dimensions; the published HourglassNet-104's are the default.
struct Architecture {
  int stacks = 2, stem_channels = 128, feat_channels = 256;
  std::vector<int> stage_channels{256, 256, 384, 384, 384, 512}, stage_blocks{2, 2, 2, 2, 2, 4};
  int pool_channels = 128, branch_channels = 256;
};

struct TrainerOptions {
  std::string from;                  // a checkpoint to begin with; empty begins with drawn weights
  Architecture architecture;         // of drawn weights
  std::vector<std::string> classes;  // names
  std::string device = "auto";       // "auto" and "cpu", "cuda", "cuda:N"
  std::string precision = "auto";    // of activations: "auto" is fp32
  int threads = 0;                   // 0: the cores this process may use
  int64_t seed = 0;                  // of drawn weights
  bool freeze_backbone = false;      // only the head learns, and only its norms measure
  bool freeze_norms = false;         // norms keep their statistics
  bool recompute = false;            // Learner::set_recompute
};

struct TrainerInfo {
  std::string device;
  int threads = 0;
  std::vector<std::string> classes;  // by class id, in the checkpoint's order where it has the same
  int64_t parameters = 0;            // numbers that are learned
  int64_t iteration = 0;             // that the checkpoint states
  int64_t taken = 0;                 // tensors that the checkpoint gave
  std::vector<std::string> drawn;    // tensors that were drawn although there is a checkpoint
  bool has_moments = false;          // whether the checkpoint's optimizer goes on
  std::string sums;                  // the way that gradients of several GPUs go; empty for others
};

/// Losses of each level, their weights applied, and their sum.
struct StepReport {
  std::vector<double> det, pull, push, off;
  double total = 0;
  double gradient_norm = 0;  // before clipping; infinite where fp16 could not hold the gradients, and nothing was learned
  int64_t pictures = 0;      // of all processes
  int64_t device_bytes = 0;  // the most that a GPU's memory held so far for this training; 0 on the CPU
  bool stop = false;         // whether any process wants to end after this step
};

/// What a saved checkpoint says of itself.
struct SaveOptions {
  std::string path;
  int64_t iteration = 0, epoch = 0;
  double learning_rate = 0;
  bool optimizer = true;  // whether its state is in it, to go on from
};

/// Pictures as the network sees them, with their boxes.
struct PreparedBatch;

/// One network that learns on one device. One thread calls it, prepare() apart.
class Trainer {
 public:
  /// With a group all processes train one network, which begins as rank 0's: every one calls the same, in the same order.
  explicit Trainer(const TrainerOptions& options, std::shared_ptr<ProcessGroup> group = nullptr);
  ~Trainer();
  const TrainerInfo& info() const;
  /// Augmented, brought to their size and normalised: for a second thread, while the first learns from the batch before.
  std::shared_ptr<const PreparedBatch> prepare(const std::vector<Sample>& samples, const Augmentation& augmentation) const;
  /// Error(Input) when the loss or the gradient is not finite: then nothing was learned, but the norms have measured.
  StepReport step(const PreparedBatch& batch, double learning_rate, bool stop = false);
  /// Writes a `.pth` to the disk; nothing is left of one that fails. Error(Write); Error(Input) when a weight is not finite.
  void save(const SaveOptions& options) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cornernet::train
