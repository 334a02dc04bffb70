#include "train/sample.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <iterator>
#include <optional>
#include <utility>

#include "ops/image_job.h"
#include "train/photometric.h"
#include "train/random.h"

namespace cornernet::train {
namespace {

constexpr double kRatios[] = {0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3};
// mmdetection's border of 128 belongs to its input of 511.
constexpr int kBorderPx = 128, kBorderInputPx = 511;
constexpr int kCentres = 50;  // before another size is drawn
constexpr int kSizes = 20;    // before the crop is laid around a box

/// What of the picture is seen: a window of its pixels, which may reach outside. Shown are those below the latter sides.
struct Window {
  int left_px, top_px;
  int width_px, height_px;
  int shown_width_px, shown_height_px;
};

/// Halved until two of it fit the side.
int fitting_border_px(int border_px, int side_px) {
  const double k = 2.0 * border_px / side_px;
  // mmdetection's ceil(log2(ceil(k))), in whole numbers.
  const int power = std::bit_width(std::max(static_cast<unsigned>(std::ceil(k)), 1u) - 1) + (k == std::floor(k) ? 1 : 0);
  return static_cast<int>(std::ldexp(border_px, -power));
}

int centre_px(Random& random, int border_px, int side_px) {
  const int border = fitting_border_px(border_px, side_px);
  return border + random.below(std::max(1, side_px - 2 * border));
}

/// The boxes that a crop keeps, in its pixels: those whose centre it shows, cut to it.
std::vector<TruthBox> boxes_in(const std::vector<TruthBox>& boxes, const Window& window, int width_px, int height_px) {
  // The pasted part; the picture's edges cut it.
  const auto low_x = static_cast<float>(std::max(0, window.left_px)), low_y = static_cast<float>(std::max(0, window.top_px));
  const auto high_x = static_cast<float>(std::min(width_px, window.left_px + window.shown_width_px));
  const auto high_y = static_cast<float>(std::min(height_px, window.top_px + window.shown_height_px));
  std::vector<TruthBox> kept;
  for (TruthBox box : boxes) {
    const float x = (box.x1 + box.x2) / 2, y = (box.y1 + box.y2) / 2;
    if (!(x > low_x && y > low_y && x < high_x && y < high_y)) continue;
    const auto across = [&](float at) { return std::clamp(at - static_cast<float>(window.left_px), 0.f, static_cast<float>(window.width_px)); };
    const auto down = [&](float at) { return std::clamp(at - static_cast<float>(window.top_px), 0.f, static_cast<float>(window.height_px)); };
    box = {across(box.x1), down(box.y1), across(box.x2), down(box.y2), box.class_id};
    if (box.x2 > box.x1 && box.y2 > box.y1) kept.push_back(box);
  }
  return kept;
}

/// mmdetection pastes half of the size on either side: of an odd size the last row and column stay the mean.
Window around(int x, int y, int size_px) {
  const int half = size_px / 2;
  return {x - half, y - half, size_px, size_px, 2 * half, 2 * half};
}

/// mmdetection's RandomCenterCropPad, which would look for ever where no crop can show a box.
Window draw_crop(const Sample& sample, const Augmentation& augmentation, Random& random) {
  const auto [width_px, height_px] = std::pair(sample.picture.width_px, sample.picture.height_px);
  const int border = std::max(1, kBorderPx * augmentation.size_px / kBorderInputPx);
  int size = augmentation.size_px;
  for (int sizes = 0; sizes < kSizes; ++sizes) {
    size = static_cast<int>(augmentation.size_px * kRatios[random.below(static_cast<int>(std::size(kRatios)))]);
    for (int i = 0; i < kCentres; ++i) {
      const int x = centre_px(random, border, width_px), y = centre_px(random, border, height_px);
      const Window window = around(x, y, size);
      if (sample.boxes.empty() || !boxes_in(sample.boxes, window, width_px, height_px).empty()) return window;
    }
  }
  const TruthBox& box = sample.boxes[static_cast<size_t>(random.below(static_cast<int>(sample.boxes.size())))];
  return around(static_cast<int>((box.x1 + box.x2) / 2), static_cast<int>((box.y1 + box.y2) / 2), size);
}

/// The window's pixels, distorted, the mean where there is no picture.
class Pixels {
 public:
  Pixels(const Picture& picture, const Window& window, const PhotometricDistortion* distortion, const Pixel& mean)
      : width_(window.width_px), height_(window.height_px), pixels_(static_cast<size_t>(width_) * static_cast<size_t>(height_), mean) {
    for (int y = std::max(0, -window.top_px); y < std::min(window.shown_height_px, picture.height_px - window.top_px); ++y) {
      for (int x = std::max(0, -window.left_px); x < std::min(window.shown_width_px, picture.width_px - window.left_px); ++x) {
        const size_t row = static_cast<size_t>(y + window.top_px), column = static_cast<size_t>(x + window.left_px);
        const uint8_t* from = picture.rgb.data() + 3 * (row * static_cast<size_t>(picture.width_px) + column);
        Pixel& to = pixels_[static_cast<size_t>(y) * static_cast<size_t>(width_) + static_cast<size_t>(x)];
        to = {static_cast<float>(from[0]), static_cast<float>(from[1]), static_cast<float>(from[2])};
        if (distortion) to = distortion->apply(to);
      }
    }
  }
  const Pixel& at(int x, int y) const { return pixels_[static_cast<size_t>(y) * static_cast<size_t>(width_) + static_cast<size_t>(x)]; }
  int width() const { return width_; }
  int height() const { return height_; }

 private:
  int width_, height_;
  std::vector<Pixel> pixels_;
};

std::vector<Taps> all_taps(int side_px, int source_side_px) {
  std::vector<Taps> all;
  for (int i = 0; i < side_px; ++i) all.push_back(taps(i, side_px, source_side_px));
  return all;
}

/// What turns a pixel's channels, red first, into the network's.
struct Normaliser {
  explicit Normaliser(const Normalisation& normalisation) : settings(normalisation) {}
  size_t source(size_t channel) const { return settings.to_rgb ? channel : 2 - channel; }
  /// The colour, red first, that becomes 0.
  Pixel mean() const { return {settings.mean[source(0)], settings.mean[source(1)], settings.mean[source(2)]}; }

  const Normalisation& settings;
};

void write(const Pixels& pixels, int size_px, bool mirrored, const Normaliser& normaliser, std::span<float> out) {
  const auto columns = all_taps(size_px, pixels.width()), rows = all_taps(size_px, pixels.height());
  const auto size = static_cast<size_t>(size_px);
  for (size_t y = 0; y < size; ++y) {
    const Taps& row = rows[y];
    for (size_t x = 0; x < size; ++x) {
      const Taps& column = columns[mirrored ? size - 1 - x : x];
      const Pixel &a = pixels.at(column.first, row.first), &b = pixels.at(column.second, row.first);
      const Pixel &c = pixels.at(column.first, row.second), &d = pixels.at(column.second, row.second);
      for (size_t channel = 0; channel < 3; ++channel) {
        const size_t from = normaliser.source(channel);
        const float value = between(between(a[from], b[from], column.weight), between(c[from], d[from], column.weight), row.weight);
        out[(channel * size + y) * size + x] = (value - normaliser.settings.mean[channel]) / normaliser.settings.std[channel];
      }
    }
  }
}

}  // namespace

std::vector<TruthBox> prepare_sample(const Sample& sample, const Augmentation& augmentation, const Normalisation& normalisation,
                                     std::span<float> out) {
  const auto& picture = sample.picture;
  Random random(sample.seed);
  const Normaliser normaliser(normalisation);
  Window window{0, 0, picture.width_px, picture.height_px, picture.width_px, picture.height_px};
  std::optional<PhotometricDistortion> distortion;
  bool mirrored = false;
  if (augmentation.enabled) {
    distortion.emplace(random);
    window = draw_crop(sample, augmentation, random);
    mirrored = random.coin() && augmentation.mirrors;
  }
  const Pixels pixels(picture, window, distortion ? &*distortion : nullptr, normaliser.mean());
  write(pixels, augmentation.size_px, mirrored, normaliser, out);

  const auto size = static_cast<float>(augmentation.size_px);
  const float across = size / static_cast<float>(window.width_px), down = size / static_cast<float>(window.height_px);
  std::vector<TruthBox> boxes = augmentation.enabled ? boxes_in(sample.boxes, window, picture.width_px, picture.height_px) : sample.boxes;
  for (TruthBox& box : boxes) {
    // The product may round to a little more than the side.
    const auto scaled = [&](float at, float scale) { return std::min(at * scale, size); };
    box = {scaled(box.x1, across), scaled(box.y1, down), scaled(box.x2, across), scaled(box.y2, down), box.class_id};
    if (mirrored) box = {size - box.x2, box.y1, size - box.x1, box.y2, box.class_id};
  }
  return boxes;
}

}  // namespace cornernet::train
