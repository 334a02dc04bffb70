// Soft non-maximum suppression over the classes of one picture, as mmcv's batched_nms computes it.
#pragma once
#include <vector>

#include "ops/candidate.h"

namespace cornernet {

enum class SoftNmsMethod { Naive, Linear, Gaussian };

struct SoftNmsOptions {
  SoftNmsMethod method = SoftNmsMethod::Gaussian;
  float iou_threshold = 0.5f;  // read by Naive and Linear
  float sigma = 0.5f;          // read by Gaussian
  float min_score = 1e-3f;
  int max_per_image = 100;
};

/// Picks in descending score, at most max_per_image. Boxes keep their own coordinates; overlaps are taken on the class-shifted fp32 boxes.
std::vector<Candidate> soft_nms(std::vector<Candidate> candidates, const SoftNmsOptions& options);

}  // namespace cornernet
