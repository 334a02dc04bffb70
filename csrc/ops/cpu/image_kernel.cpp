#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "ops/cpu/kernels.h"

namespace cornernet::cpu {
namespace {

template <typename T>
struct TypedTable {
  T value[3][256];
  int source_channel[3];

  explicit TypedTable(const LevelTable& table) {
    for (int channel = 0; channel < 3; ++channel) {
      source_channel[channel] = table.source_channel[channel];
      for (int level = 0; level < 256; ++level) value[channel][level] = T(table.value[channel][level]);
    }
  }
};

template <typename T>
void fill_resized_row(const PictureJob& picture, const LevelTable& levels, const InputView& view, int row, bool mirrored, T* out) {
  const Taps down = taps(row, picture.height_px, picture.source_height_px);
  for (int x = 0; x < view.width_px; ++x, out += 3) {
    const int column = source_column(picture, view, x, mirrored);
    const Taps across = taps(column, picture.width_px, picture.source_width_px);
    for (int channel = 0; channel < 3; ++channel) {
      const float level = resized_level(picture, down, across, levels.source_channel[channel], [](const uint8_t* at) { return *at; });
      out[channel] = T(column < 0 ? 0.f : normalised(levels, channel, level));
    }
  }
}

template <typename T>
void fill_row(const PictureJob& picture, const LevelTable& levels, const TypedTable<T>& table, const InputView& view, int y, bool mirrored, T* out) {
  const int row = y - picture.top_px;
  if (row < 0 || row >= picture.copied_height_px) {
    std::fill_n(out, int64_t{3} * view.width_px, T(0));
    return;
  }
  if (is_resized(picture)) {
    fill_resized_row(picture, levels, view, row, mirrored, out);
    return;
  }
  const uint8_t* line = picture.rgb + int64_t{3} * row * picture.width_px;
  for (int x = 0; x < view.width_px; ++x, out += 3) {
    const int column = source_column(picture, view, x, mirrored);
    for (int channel = 0; channel < 3; ++channel) {
      out[channel] = column < 0 ? T(0) : table.value[channel][line[3 * column + table.source_channel[channel]]];
    }
  }
}

}  // namespace

void make_input(const std::vector<PictureJob>& pictures, const LevelTable& table, const InputView& view, at::Tensor& input) {
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, input.scalar_type(), "make_input", [&] {
    const TypedTable<scalar_t> typed(table);
    scalar_t* out = input.mutable_data_ptr<scalar_t>();
    constexpr int64_t kRowsATask = 32;
    at::parallel_for(0, int64_t{view.views} * view.height_px, kRowsATask, [&](int64_t begin, int64_t end) {
      for (int64_t task = begin; task < end; ++task) {
        const auto v = static_cast<int>(task / view.height_px);
        fill_row(pictures[static_cast<size_t>(v / view.views_a_picture)], table, typed, view, static_cast<int>(task % view.height_px),
                 v % view.views_a_picture == 1, out + task * 3 * view.width_px);
      }
    });
  });
}

}  // namespace cornernet::cpu
