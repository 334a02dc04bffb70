// Loss scaling for fp16: gradients that would round to 0 are multiplied by a factor that follows what they can bear, by torch.amp.GradScaler's rule.
#pragma once
#include <optional>

#include "checkpoint/checkpoint.h"

namespace cornernet::train {

class LossScale {
 public:
  /// None keeps it out.
  explicit LossScale(std::optional<LossScaling> scaling = std::nullopt) : scaling_(scaling) {}

  double factor() const { return scaling_ ? scaling_->factor : 1; }
  const std::optional<LossScaling>& scaling() const { return scaling_; }
  /// Whether a gradient that is not finite may be for want of a smaller factor: fp16 holds the factor itself, with which the backward begins, to no
  /// full precision below 2^-14, and what 2^-14 does not bring below 65504 is thirty million times what clipping leaves.
  bool can_yield() const { return scaling_ && scaling_->factor > 0x1p-14; }
  /// After each backward: whether its gradients were finite.
  void note(bool finite) {
    if (!scaling_) return;
    if (!finite) {
      *scaling_ = {scaling_->factor / 2, 0};
    } else if (++scaling_->borne == kScalePatience) {
      *scaling_ = {scaling_->factor * 2, 0};
    }
  }

 private:
  std::optional<LossScaling> scaling_;
};

}  // namespace cornernet::train
