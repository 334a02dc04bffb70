// Finding corners and pairing them into boxes: the structures and the arithmetic that the CPU and the CUDA kernels share.
#pragma once
#ifndef __CUDACC__
#include <cmath>
#endif

#include "ops/fixed_width.h"

namespace cornernet {

/// How a view's map coordinates become pixels of its picture: x * scale_x - left, clamped below at 0.
struct ViewGeometry {
  float scale_x, scale_y;  // padded size / feature size
  float left_px, top_px;   // border offsets
};

/// A peak of a corner heatmap with its position in the picture's pixels.
struct Corner {
  float x, y;
  float score;
  float embedding;
  int class_id;
};

/// Neither infinite nor NaN.
constexpr bool is_finite(float number) { return number - number == 0.f; }

CORNERNET_DEVICE float sigmoid(float logit) { return 1.f / (1.f + expf(-logit)); }

/// The peak rule: a neighbour beats a logit whose score is lower, so that equal scores are peaks side by side. Scores decide, which are equal for
/// logits that nearly are; they are made only where they can matter.
CORNERNET_DEVICE bool beats(float neighbour, float logit) {
  if (!(neighbour > logit)) return false;
  // A hundredth apart, scores in this range differ by thirty roundings and more: nearly always the logits decide.
  constexpr float kApart = 0.01f, kLowest = -80.f, kHighest = 8.f;
  if (neighbour > logit + kApart && logit > kLowest && logit < kHighest) return true;
  return sigmoid(neighbour) > sigmoid(logit);
}

/// A logit that every score of at least `floor` exceeds, with room for the roundings of both.
CORNERNET_DEVICE float logit_below(float floor) {
  constexpr float kRoom = 1e-3f;
  if (!(floor > 0.f)) return -3.4e38f;  // below every finite logit whose score is above 0
  if (floor >= 0.999f) return 6.9f;     // nearer to 1 many logits have one score; this one's is below
  return logf(floor / (1.f - floor)) - kRoom;
}

/// A map coordinate plus offset as a picture coordinate: scaled, the border taken off, clamped below at 0 only.
constexpr float picture_coordinate(float map_coordinate, float offset, float scale, float border) {
  const float moved = (map_coordinate + offset) * scale - border;
  return moved > 0.f ? moved : 0.f;
}

/// Whether a corner, made with these offsets, may be paired. A coordinate alone would not tell: NaN is clamped to 0.
constexpr bool is_usable(const Corner& corner, float right, float down) {
  return is_finite(right) && is_finite(down) && is_finite(corner.x) && is_finite(corner.y) && is_finite(corner.embedding);
}

/// Whether a top-left and a bottom-right corner make a box.
constexpr bool makes_box(const Corner& tl, const Corner& br, float distance_threshold) {
  const float distance = tl.embedding > br.embedding ? tl.embedding - br.embedding : br.embedding - tl.embedding;
  return tl.class_id == br.class_id && br.x > tl.x && br.y > tl.y && distance <= distance_threshold;
}

constexpr float pair_score(const Corner& tl, const Corner& br) { return (tl.score + br.score) / 2.f; }

}  // namespace cornernet
