// The losses of CornerNet's heads, as mmdetection computes them.
#pragma once
#include <ATen/core/Tensor.h>

#include "ops/corner_decode.h"
#include "train/corner_targets.h"

namespace cornernet::train {

/// Of one level; scalars that can be differentiated, their weights applied.
struct Losses {
  at::Tensor det, pull, push, off;
  at::Tensor total() const;
};

/// `targets` on the maps' device. 16-bit maps are widened to fp32.
Losses corner_losses(const HeadMaps& maps, const Targets& targets);

}  // namespace cornernet::train
