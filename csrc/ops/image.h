// From 8-bit pictures to the network's input: resize, centre-pad, normalise and mirror in one pass.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "ops/image_job.h"
#include "ops/settings.h"

namespace cornernet {

/// A packed 8-bit RGB picture, row-major, 3 bytes a pixel, not owned; and its size as the network is to see it.
struct PictureView {
  const uint8_t* rgb;
  int source_width_px, source_height_px;
  int width_px = source_width_px, height_px = source_height_px;
};

struct SizePx {
  int width, height;
};
/// As mmdetection 2.x's pipeline and mmcv round it: both sides are scaled and cut to whole pixels, and the largest size of the picture's own shape
/// that fits in there is rounded to the nearest. Error(Input) when nothing is left.
SizePx scaled_size(SizePx size, double factor);

/// Where the picture lies in its padded view, in pixels. left and top are what decoding subtracts.
struct Placement {
  int padded_width_px, padded_height_px;
  int left_px, top_px;
};

/// n | 127: the padded size of a side of n pixels.
int padded_size_px(int n);
/// Padded size and border of a width x height picture (T/2 - n/2, integer division).
Placement place(int width_px, int height_px);

/// Everything that making the input of some pictures needs but the memory that it goes to.
struct InputPlan {
  std::vector<PictureJob> pictures;
  LevelTable table;
  InputView view;

  std::vector<int64_t> sizes() const { return {view.views, view.channels, view.height_px, view.width_px}; }
};

/// Pictures of another size than their own are resized as OpenCV resizes fp32: bilinear, half-pixel centres, no antialiasing, nothing rounded.
/// All pictures share one padded size. Views of one picture are neighbours: plain, then (with `flip`) mirrored. 2.x mirrors the padded picture, 3.x
/// the picture before padding. 2.x multiplies by the fp64 reciprocal of std rounded to fp32 as mmcv.imnormalize does; 3.x divides.
InputPlan plan_input(const std::vector<PictureView>& pictures, bool flip, Numerics numerics, const Normalisation& normalisation);

/// [pictures * views, channels, padded height, padded width], channels-last, of `dtype`; on a GPU engine/device_calls.h fills it.
at::Tensor empty_input(const InputPlan& plan, at::ScalarType dtype, at::Device device);
/// The input on the CPU.
at::Tensor make_input(const InputPlan& plan, at::ScalarType dtype);

}  // namespace cornernet
