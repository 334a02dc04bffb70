// A picture with its boxes on the way into training: mmdetection's augmentation, drawn from a seed of the sample's own.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "engine/detector.h"

namespace cornernet::train {

/// An object's box in pixels and its class.
struct TruthBox {
  float x1 = 0, y1 = 0, x2 = 0, y2 = 0;
  int class_id = 0;
};

struct Sample {
  Picture picture;
  std::vector<TruthBox> boxes;
  uint64_t seed = 0;
};

/// mmdetection's training pipeline of CornerNet, or none of it: then a picture is only brought to its size.
struct Augmentation {
  bool enabled = true;
  /// Pixels of a side of what the network sees.
  int size_px = 511;
  /// Whether a coin mirrors it.
  bool mirrors = true;
};

/// Writes the sample as the network sees it, [3, size, size] of normalised values, to `out`, and gives the boxes that are left, in its pixels.
std::vector<TruthBox> prepare_sample(const Sample& sample, const Augmentation& augmentation, const Normalisation& normalisation,
                                     std::span<float> out);

}  // namespace cornernet::train
