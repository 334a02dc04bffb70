// Photometric distortion of a picture's colours, as mmdetection's PhotoMetricDistortion draws and computes it.
#pragma once
#include <array>

#include "train/random.h"

namespace cornernet::train {

/// A pixel's red, green and blue, 0 to 255, beyond which distortion may lead.
using Pixel = std::array<float, 3>;

class PhotometricDistortion {
 public:
  /// Draws each of its steps, which come with probability 1/2.
  explicit PhotometricDistortion(Random& random);
  Pixel apply(Pixel pixel) const;

 private:
  float brightness_ = 0, contrast_ = 1, saturation_ = 1, hue_degrees_ = 0;
  bool contrast_first_ = false;
  std::array<int, 3> order_{0, 1, 2};
};

}  // namespace cornernet::train
