// What the heads are to say of a batch's boxes: mmdetection's targets of CornerNet.
#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

#include "train/sample.h"

namespace cornernet::train {

/// One kind of corner.
struct CornerTargets {
  at::Tensor heat;    // [N, classes, h, w]: 1 at corners, gaussians around them
  at::Tensor offset;  // [N, 2, h, w]: x and y within the cell, where a corner is
  /// Of each box: its corner's cell in a [N, h, w] map, flattened; pictures in their order.
  std::vector<int64_t> cells;
  /// What the losses are divided by: ones in `heat`, and cells where any class has one.
  double ones = 0, marked = 0;
};

struct Targets {
  CornerTargets tl, br;
  std::vector<int64_t> boxes_in;  // boxes of each picture
};

/// The shape of the maps and of the network's input.
struct TargetShape {
  int64_t classes = 0, height = 0, width = 0;
  int input_height_px = 0, input_width_px = 0;
};

/// The largest by which a box's corners may move so that it still overlaps the moved one by 0.3; mmdetection's gaussian_radius.
double gaussian_radius(double height, double width);

/// fp32, on the CPU. Boxes lie within the input, their classes are the maps'.
Targets make_targets(const std::vector<std::vector<TruthBox>>& boxes, const TargetShape& shape);

}  // namespace cornernet::train
