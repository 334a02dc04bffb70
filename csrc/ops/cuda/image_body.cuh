// The body of the kernel that makes the network's input.
#pragma once
#include "ops/cuda/element.h"
#include "ops/image_job.h"

namespace cornernet::cuda {

constexpr int kImageThreads = 256;  // a row of 767 or 511 pixels in blocks that are all but full

/// Blocks that a row of every padded view takes.
constexpr int image_blocks_a_row(const InputView& view) { return (view.width_px + kImageThreads - 1) / kImageThreads; }

/// A thread for each pixel of each padded view, image_blocks_a_row blocks of kImageThreads for each row; `input` is [views, height, width, 3].
/// Memory: a picture's bytes are read once a view (four times, mostly from cache, where it is resized), the input is written once; neighbouring
/// threads take neighbouring pixels of both.
/// Cost: three table look-ups and two divisions a pixel; resized, some thirty operations and two fp64 divisions.
template <Scalar kScalar, typename Context, typename Raw = typename Element<kScalar>::Raw>
CORNERNET_DEVICE void fill_pixel(Context& context, const PictureJob* pictures, const LevelTable* table, const InputView& view, Raw* input) {
  const int blocks_a_row = image_blocks_a_row(view), line = static_cast<int>(context.block()) / blocks_a_row;
  const int x = (static_cast<int>(context.block()) - line * blocks_a_row) * kImageThreads + context.thread();
  if (x >= view.width_px) return;
  const int v = line / view.height_px, y = line - v * view.height_px;
  const int64_t pixel = int64_t{1} * line * view.width_px + x;
  const PictureJob& picture = pictures[v / view.views_a_picture];
  const int row = y - picture.top_px;
  const int column = source_column(picture, view, x, v % view.views_a_picture == 1);
  const bool inside = column >= 0 && row >= 0 && row < picture.copied_height_px;
  if (inside && is_resized(picture)) {
    const Taps down = taps(row, picture.height_px, picture.source_height_px);
    const Taps across = taps(column, picture.width_px, picture.source_width_px);
    for (int channel = 0; channel < 3; ++channel) {
      const float level = resized_level(picture, down, across, table->source_channel[channel], load_byte);
      input[3 * pixel + channel] = Element<kScalar>::store(normalised(*table, channel, level));
    }
    return;
  }
  const uint8_t* const rgb = inside ? picture.rgb + (int64_t{1} * row * picture.width_px + column) * 3 : nullptr;
  for (int channel = 0; channel < 3; ++channel) {
    input[3 * pixel + channel] = Element<kScalar>::store(inside ? table->value[channel][load_byte(rgb + table->source_channel[channel])] : 0.f);
  }
}

}  // namespace cornernet::cuda
