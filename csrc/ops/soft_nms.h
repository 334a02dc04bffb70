// Soft non-maximum suppression over the classes of one picture, as mmcv's batched_nms computes it.
#pragma once
#include <vector>

#include "ops/candidate.h"
#include "ops/settings.h"

namespace cornernet {

/// Picks in descending score, at most max_per_image. Boxes keep their own coordinates; overlaps are taken on the class-shifted fp32 boxes.
std::vector<Candidate> soft_nms(std::vector<Candidate> candidates, const SoftNmsOptions& options);

}  // namespace cornernet
