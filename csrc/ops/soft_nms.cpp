#include "ops/soft_nms.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "runtime/interrupt.h"

namespace cornernet {
namespace {

/// A box shifted away from those of other classes, so that only boxes of one class overlap; fp32 throughout, as in the reference.
struct ShiftedBox {
  float x1, y1, x2, y2, area, score;
  size_t index;
};

std::vector<ShiftedBox> shift_by_class(const std::vector<Candidate>& candidates) {
  float highest = -std::numeric_limits<float>::infinity();
  for (const Candidate& c : candidates) highest = std::max({highest, c.x1, c.y1, c.x2, c.y2});
  std::vector<ShiftedBox> boxes;
  boxes.reserve(candidates.size());
  for (size_t i = 0; i < candidates.size(); ++i) {
    const Candidate& c = candidates[i];
    const float shift = static_cast<float>(c.class_id) * (highest + 1.f);
    ShiftedBox box{c.x1 + shift, c.y1 + shift, c.x2 + shift, c.y2 + shift, 0.f, c.score, i};
    box.area = (box.x2 - box.x1) * (box.y2 - box.y1);
    boxes.push_back(box);
  }
  return boxes;
}

float overlap(const ShiftedBox& a, const ShiftedBox& b) {
  const float width = std::max(0.f, std::min(a.x2, b.x2) - std::max(a.x1, b.x1));
  const float height = std::max(0.f, std::min(a.y2, b.y2) - std::max(a.y1, b.y1));
  const float shared = width * height;
  return shared == 0.f ? 0.f : shared / (a.area + b.area - shared);
}

float weight_of(float iou, const SoftNmsOptions& options) {
  switch (options.method) {
    case SoftNmsMethod::Naive:
      return iou >= options.iou_threshold ? 0.f : 1.f;
    case SoftNmsMethod::Linear:
      return iou >= options.iou_threshold ? 1.f - iou : 1.f;
    case SoftNmsMethod::Gaussian:
      return iou == 0.f ? 1.f : std::exp(-(iou * iou) / options.sigma);
  }
  return 1.f;
}

}  // namespace

std::vector<Candidate> soft_nms(std::vector<Candidate> candidates, const SoftNmsOptions& options) {
  std::vector<ShiftedBox> boxes = shift_by_class(candidates);
  std::vector<Candidate> kept;
  size_t count = boxes.size();
  // Picks come in descending order and decay only what follows, so the loop may stop at the last one wanted.
  for (size_t i = 0; i < count && kept.size() < static_cast<size_t>(options.max_per_image); ++i) {
    check_interrupted();
    // Moving the best to the front and the last into a dropped one's place is the reference's own order, which decides between equal scores.
    const auto best = std::max_element(boxes.begin() + static_cast<std::ptrdiff_t>(i), boxes.begin() + static_cast<std::ptrdiff_t>(count),
                                       [](const ShiftedBox& a, const ShiftedBox& b) { return a.score < b.score; });
    std::swap(boxes[i], *best);
    const ShiftedBox& picked = boxes[i];
    kept.push_back(candidates[picked.index]);
    kept.back().score = picked.score;
    for (size_t j = i + 1; j < count;) {
      boxes[j].score *= weight_of(overlap(picked, boxes[j]), options);
      if (boxes[j].score < options.min_score) {
        boxes[j] = boxes[--count];
      } else {
        ++j;
      }
    }
  }
  return kept;
}

}  // namespace cornernet
