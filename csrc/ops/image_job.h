// What making the network's input needs to know of each picture, in terms that the CPU and the CUDA kernel share.
#pragma once
#include "ops/fixed_width.h"

namespace cornernet {

/// A picture's bytes (packed RGB), its size in the view, where it goes there, and how much of it is copied.
struct PictureJob {
  const uint8_t* rgb;
  int source_width_px, source_height_px;
  int width_px, height_px;
  int left_px, top_px;
  int copied_width_px, copied_height_px;
};

/// Channels of a pixel where they are padded: red, green and blue in the network's order, a 1, and zeros. Matrix units read eight at a time, and with
/// the 1 a convolution's bias is one more product.
constexpr int kPaddedChannels = 8;

/// The input's dimensions. Views of a picture are neighbours; the second is mirrored, either the picture within its place or the whole padded view.
struct InputView {
  int views, views_a_picture;
  int width_px, height_px;
  bool mirror_before_padding;
  int channels = 3;  // or kPaddedChannels, on a GPU
};

/// A byte's normalised value by the network's channel, and which of a pixel's bytes feeds that channel.
struct LevelTable {
  float value[3][256];
  int source_channel[3];
  float mean[3], deviation[3];
  int divides;  // by the deviation; else it is multiplied by its reciprocal, which `deviation` then is
};

/// The fp32 arithmetic of either mmdetection; levels between bytes come from resizing.
constexpr float normalised(const LevelTable& table, int channel, float level) {
  const float centred = level - table.mean[channel];
  return table.divides ? centred / table.deviation[channel] : centred * table.deviation[channel];
}

constexpr bool is_resized(const PictureJob& picture) {
  return picture.width_px != picture.source_width_px || picture.height_px != picture.source_height_px;
}

/// The two neighbours, along one axis of the source, of a pixel of the resized picture.
struct Taps {
  int first, second;
  float weight;  // of the second
};

constexpr Taps taps(int at, int side_px, int source_side_px) {
  const double step = 1.0 / (static_cast<double>(side_px) / source_side_px);  // in OpenCV's order of rounding
  const float centre = static_cast<float>((at + 0.5) * step - 0.5);
  if (centre <= 0.f) return {0, 0, 0.f};
  const int first = static_cast<int>(centre);
  if (first >= source_side_px - 1) return {source_side_px - 1, source_side_px - 1, 0.f};
  return {first, first + 1, centre - static_cast<float>(first)};
}

constexpr float between(float first, float second, float weight) { return first * (1.f - weight) + second * weight; }

/// A byte channel's level at a pixel of the resized picture; `load` reads a byte.
template <typename Load>
constexpr float resized_level(const PictureJob& picture, const Taps& down, const Taps& across, int byte, Load load) {
  const uint8_t* const upper = picture.rgb + int64_t{3} * down.first * picture.source_width_px + byte;
  const uint8_t* const lower = picture.rgb + int64_t{3} * down.second * picture.source_width_px + byte;
  const int64_t left = int64_t{3} * across.first, right = int64_t{3} * across.second;
  return between(between(load(upper + left), load(upper + right), across.weight), between(load(lower + left), load(lower + right), across.weight),
                 down.weight);
}

/// The picture column that shows at column x of a padded view, or -1 in the border.
constexpr int source_column(const PictureJob& picture, const InputView& view, int x, bool mirrored) {
  if (mirrored && !view.mirror_before_padding) x = view.width_px - 1 - x;
  const int column = x - picture.left_px;
  if (column < 0 || column >= picture.copied_width_px) return -1;
  return mirrored && view.mirror_before_padding ? picture.width_px - 1 - column : column;
}

}  // namespace cornernet
