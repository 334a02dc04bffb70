// Writes a checkpoint as torch.save and mmengine do: for torch.load(weights_only=True), mmdetection and load_checkpoint.
#pragma once
#include <string>

#include "checkpoint/checkpoint.h"

namespace cornernet {

/// What an optimizer's parameter group says of Adam.
struct AdamSettings {
  double learning_rate = 5e-4, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
};

/// `moments` refer to the tensors that are neither statistics nor counters, in their order; without any, and without a scale of losses, the file
/// holds no optimizer.
struct CheckpointContent {
  Checkpoint checkpoint;
  AdamSettings adam;
  /// How many parameters the model has for its optimizer, the ones without moments included.
  int64_t parameters = 0;
};

/// Writes to the disk; nothing is left of a file that fails. Throws Error(Write) with the system's words; Error(Input) when a number is not finite,
/// which no reader would take; Error(Closed) when the thread is interrupted.
void write_checkpoint(const std::string& path, const CheckpointContent& content);

}  // namespace cornernet
