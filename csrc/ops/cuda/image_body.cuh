// The body of the kernel that makes the network's input.
#pragma once
#include "ops/cuda/element.h"
#include "ops/image_job.h"

namespace cornernet::cuda {

constexpr int kImageThreads = 256;  // a row of 767 or 511 pixels in blocks that are all but full

/// Blocks that a row of every padded view takes.
constexpr int image_blocks_a_row(const InputView& view) { return (view.width_px + kImageThreads - 1) / kImageThreads; }

/// Writes a pixel's three channels, and what pads them.
template <Scalar kScalar, typename Raw = typename Element<kScalar>::Raw>
CORNERNET_DEVICE void store_pixel(Raw* to, const float (&values)[3], int channels) {
  if (channels == 3) {
    for (int channel = 0; channel < 3; ++channel) to[channel] = Element<kScalar>::store(values[channel]);
    return;
  }
  constexpr int kLanes = 16 / sizeof(Raw);
#pragma unroll
  for (int first = 0; first < kPaddedChannels; first += kLanes) {
    Pack<Raw, kLanes> pack{};
#pragma unroll
    for (int l = 0; l < kLanes; ++l) {
      const int channel = first + l;
      pack.set(l, Element<kScalar>::store(channel < 3 ? values[channel < 3 ? channel : 0] : channel == 3 ? 1.f : 0.f));
    }
    store_pack(to + first, pack);
  }
}

/// A thread for each pixel of each padded view, image_blocks_a_row blocks of kImageThreads for each row; `input` is [views, height, width, channels],
/// aligned for packs of 16 bytes where they are padded.
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
  float values[3] = {0.f, 0.f, 0.f};
  if (inside && is_resized(picture)) {
    const Taps down = taps(row, picture.height_px, picture.source_height_px);
    const Taps across = taps(column, picture.width_px, picture.source_width_px);
    for (int channel = 0; channel < 3; ++channel) {
      values[channel] = normalised(*table, channel, resized_level(picture, down, across, table->source_channel[channel], load_byte));
    }
  } else if (inside) {
    const uint8_t* const rgb = picture.rgb + (int64_t{1} * row * picture.width_px + column) * 3;
    for (int channel = 0; channel < 3; ++channel) values[channel] = table->value[channel][load_byte(rgb + table->source_channel[channel])];
  }
  store_pixel<kScalar>(input + view.channels * pixel, values, view.channels);
}

}  // namespace cornernet::cuda
