#include "train/corner_targets.h"

#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

namespace cornernet::train {
namespace {

/// A map's plane [h, w].
struct Plane {
  float* values;
  int64_t height, width;
};

/// The maximum of what is there and a gaussian that is 1 in its centre.
void draw_gaussian(const Plane& plane, int64_t x, int64_t y, int64_t radius) {
  const float sigma = static_cast<float>(2 * radius + 1) / 6.f;
  for (int64_t dy = -std::min(radius, y); dy <= std::min(radius, plane.height - 1 - y); ++dy) {
    for (int64_t dx = -std::min(radius, x); dx <= std::min(radius, plane.width - 1 - x); ++dx) {
      const float value = std::exp(-static_cast<float>(dx * dx + dy * dy) / (2 * sigma * sigma));
      if (value < std::numeric_limits<float>::epsilon()) continue;
      float& at = plane.values[(y + dy) * plane.width + x + dx];
      at = std::max(at, value);
    }
  }
}

/// Where a corner lies in the maps.
struct Corner {
  float x, y;
  int64_t column, row;

  Corner(float x_px, float y_px, const TargetShape& shape)
      : x(x_px * static_cast<float>(static_cast<double>(shape.width) / shape.input_width_px)),
        y(y_px * static_cast<float>(static_cast<double>(shape.height) / shape.input_height_px)),
        column(static_cast<int64_t>(std::min(x, static_cast<float>(shape.width - 1)))),
        row(static_cast<int64_t>(std::min(y, static_cast<float>(shape.height - 1)))) {}
};

void mark(CornerTargets& targets, int64_t picture, int class_id, const Corner& corner, int64_t radius, const TargetShape& shape) {
  const int64_t cells = shape.height * shape.width, cell = corner.row * shape.width + corner.column;
  float* const heat = targets.heat.mutable_data_ptr<float>() + (picture * shape.classes + class_id) * cells;
  draw_gaussian({heat, shape.height, shape.width}, corner.column, corner.row, radius);
  float* const offset = targets.offset.mutable_data_ptr<float>() + 2 * picture * cells + cell;
  offset[0] = corner.x - static_cast<float>(corner.column);
  offset[cells] = corner.y - static_cast<float>(corner.row);
  targets.cells.push_back(picture * cells + cell);
}

/// Corners of different cells, or of different classes in one cell.
size_t different(const std::vector<int64_t>& cells, const std::vector<std::vector<TruthBox>>& boxes, int64_t classes) {
  std::set<int64_t> seen;
  auto cell = cells.begin();
  for (const auto& of_picture : boxes) {
    for (const TruthBox& box : of_picture) seen.insert(*cell++ * classes + box.class_id % classes);
  }
  return seen.size();
}

}  // namespace

// The radius is cut to a whole number, so the order of the operations counts: it is mmdetection's.
double gaussian_radius(double height, double width) {
  constexpr double kOverlap = 0.3;
  const auto root = [](double a, double b, double c) { return std::sqrt(b * b - 4 * a * c); };
  const double b1 = height + width, c1 = width * height * (1 - kOverlap) / (1 + kOverlap);
  const double one_in_one_out = (b1 - root(1, b1, c1)) / 2;
  const double b2 = 2 * (height + width), c2 = (1 - kOverlap) * width * height;
  const double both_in = (b2 - root(4, b2, c2)) / (2 * 4);
  const double a3 = 4 * kOverlap, b3 = -2 * kOverlap * (height + width), c3 = (kOverlap - 1) * width * height;
  const double both_out = (b3 + root(a3, b3, c3)) / (2 * a3);
  return std::min({one_in_one_out, both_in, both_out});
}

Targets make_targets(const std::vector<std::vector<TruthBox>>& boxes, const TargetShape& shape) {
  const auto pictures = static_cast<int64_t>(boxes.size());
  const auto corner_targets = [&] {
    return CornerTargets{at::zeros({pictures, shape.classes, shape.height, shape.width}, at::kFloat),
                         at::zeros({pictures, 2, shape.height, shape.width}, at::kFloat),
                         {}};
  };
  Targets targets{corner_targets(), corner_targets(), {}};
  for (int64_t i = 0; i < pictures; ++i) {
    const auto& of_picture = boxes[static_cast<size_t>(i)];
    targets.boxes_in.push_back(static_cast<int64_t>(of_picture.size()));
    for (const TruthBox& box : of_picture) {
      const Corner tl(box.x1, box.y1, shape), br(box.x2, box.y2, shape);
      const int64_t radius = std::max<int64_t>(0, static_cast<int64_t>(gaussian_radius(std::ceil(br.y - tl.y), std::ceil(br.x - tl.x))));
      mark(targets.tl, i, box.class_id, tl, radius, shape);
      mark(targets.br, i, box.class_id, br, radius, shape);
    }
  }
  for (CornerTargets* corner : {&targets.tl, &targets.br}) {
    corner->ones = static_cast<double>(different(corner->cells, boxes, shape.classes));
    corner->marked = static_cast<double>(different(corner->cells, boxes, 1));
  }
  return targets;
}

}  // namespace cornernet::train
