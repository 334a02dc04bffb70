// Corner pooling as its definition says it, element by element: the oracle that tests hold the operator against.
#pragma once
#include <ATen/core/Tensor.h>
#include <ATen/ops/add.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>

#include "ops/corner_pool.h"

namespace cornernet::testing {

constexpr Direction kDirections[] = {Direction::Top, Direction::Bottom, Direction::Left, Direction::Right};

inline const char* name_of(Direction direction) {
  constexpr const char* kNames[] = {"top", "bottom", "left", "right"};
  return kNames[static_cast<int>(direction)];
}

/// The flat index of a plane's elements line by line: position 0 is where the scan starts.
struct NaiveLines {
  int64_t lines, length, line_step, step, start;

  NaiveLines(int64_t height, int64_t width, Direction direction) {
    const bool vertical = direction == Direction::Top || direction == Direction::Bottom;
    const bool backwards = direction == Direction::Top || direction == Direction::Left;
    lines = vertical ? width : height;
    length = vertical ? height : width;
    line_step = vertical ? 1 : width;
    step = (vertical ? width : 1) * (backwards ? -1 : 1);
    start = backwards ? -step * (length - 1) : 0;
  }
  int64_t at(int64_t line, int64_t position) const { return start + line * line_step + position * step; }
};

/// Where the maximum of positions 0 to `last` of a line comes from: the latest of the greatest, or the latest NaN.
inline int64_t naive_source(const double* plane, const NaiveLines& lines, int64_t line, int64_t last) {
  int64_t source = 0;
  for (int64_t p = 1; p <= last; ++p) {
    const double value = plane[lines.at(line, p)], best = plane[lines.at(line, source)];
    if (std::isnan(value) || (!std::isnan(best) && value >= best)) source = p;
  }
  return source;
}

/// The result, contiguous, of x's dtype; with `grad_y` the gradient at x instead.
inline at::Tensor naive_pool(const at::Tensor& x, Direction direction, const at::Tensor& grad_y = {}) {
  const at::Tensor values = x.cpu().contiguous().to(at::kDouble);
  at::Tensor result = at::zeros_like(values);
  const at::Tensor grads = grad_y.defined() ? grad_y.cpu().contiguous().to(at::kDouble) : values;
  const int64_t height = x.size(2), width = x.size(3);
  const NaiveLines lines(height, width, direction);
  for (int64_t plane = 0; plane < x.size(0) * x.size(1); ++plane) {
    const int64_t offset = plane * height * width;
    const double* const from = values.const_data_ptr<double>() + offset;
    double* const to = result.data_ptr<double>() + offset;
    for (int64_t line = 0; line < lines.lines; ++line) {
      for (int64_t p = 0; p < lines.length; ++p) {
        const int64_t source = lines.at(line, naive_source(from, lines, line, p)), here = lines.at(line, p);
        if (grad_y.defined()) {
          to[source] += grads.const_data_ptr<double>()[offset + here];
        } else {
          to[here] = from[source];
        }
      }
    }
  }
  return result.to(x.scalar_type());
}

/// pool(a) + pool(b), summed in fp32 (fp64 for fp64) and rounded once.
inline at::Tensor naive_pair(const at::Tensor& a, Direction direction_a, const at::Tensor& b, Direction direction_b) {
  const at::ScalarType wide = a.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  return at::add(naive_pool(a, direction_a).to(wide), naive_pool(b, direction_b).to(wide)).to(a.scalar_type());
}

}  // namespace cornernet::testing
