// What making the network's input needs to know of each picture, in terms that the CPU and the CUDA kernel share.
#pragma once
#include "ops/fixed_width.h"

namespace cornernet {

/// A picture's bytes (packed RGB), where it goes in its padded view, and how much of it is copied there.
struct PictureJob {
  const uint8_t* rgb;
  int width_px, height_px;
  int left_px, top_px;
  int copied_width_px, copied_height_px;
};

/// The input's dimensions. Views of a picture are neighbours; the second is mirrored, either the picture within its place or the whole padded view.
struct InputView {
  int views, views_a_picture;
  int width_px, height_px;
  bool mirror_before_padding;
};

/// A byte's normalised value by the network's channel, and which of a pixel's bytes feeds that channel.
struct LevelTable {
  float value[3][256];
  int source_channel[3];
};

/// The picture column that shows at column x of a padded view, or -1 in the border.
constexpr int source_column(const PictureJob& picture, const InputView& view, int x, bool mirrored) {
  if (mirrored && !view.mirror_before_padding) x = view.width_px - 1 - x;
  const int column = x - picture.left_px;
  if (column < 0 || column >= picture.copied_width_px) return -1;
  return mirrored && view.mirror_before_padding ? picture.width_px - 1 - column : column;
}

}  // namespace cornernet
