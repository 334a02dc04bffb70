// What training begins with: a checkpoint's tensors as far as they fit, and drawn ones.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "engine/architecture.h"
#include "train/trainer.h"

namespace cornernet::train {

struct Beginning {
  CornerNetConfig config;
  NamedTensors tensors;  // all of the network's, copies of its own
  std::vector<std::string> drawn;
  /// By place in mmdetection's optimizer; empty unless every tensor was taken.
  std::map<int64_t, AdamMoments> moments;
  std::optional<LossScaling> loss_scaling;  // as of moments
};

/// Drawn as mmdetection does: the backbone's convolutions and each branch's last by LibTorch's default (Kaiming uniform with a = sqrt 5), the head's
/// others as mmcv's ConvModule (Kaiming normal of the fan out, biases 0), norms 1 and 0, heatmaps that say 0.1 everywhere.
Beginning draw_beginning(const Architecture& architecture, int64_t classes, int64_t seed);

/// From a checkpoint; the heatmaps' last convolutions are drawn where its classes are others.
Beginning take_over(const Checkpoint& checkpoint, const std::vector<std::string>& classes, int64_t seed);

}  // namespace cornernet::train
