#include "train/photometric.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace cornernet::train {
namespace {

// mmdetection's defaults, which CornerNet's configuration repeats.
constexpr double kBrightness = 32, kLeastFactor = 0.5, kMostFactor = 1.5, kHueDegrees = 18;

struct Hsv {
  float hue_degrees, saturation, value;
};

/// As OpenCV converts floats: value is the largest channel, also where channels lie outside 0 to 255.
Hsv to_hsv(const Pixel& rgb) {
  const auto [r, g, b] = rgb;
  const float value = std::max({r, g, b});
  const float range = value - std::min({r, g, b});
  const float saturation = range / (std::abs(value) + std::numeric_limits<float>::epsilon());
  const float scale = 60.f / (range + std::numeric_limits<float>::epsilon());
  float hue = value == r ? (g - b) * scale : value == g ? (b - r) * scale + 120.f : (r - g) * scale + 240.f;
  if (hue < 0) hue += 360.f;
  return {hue, saturation, value};
}

Pixel to_rgb(const Hsv& hsv) {
  const float hue = hsv.hue_degrees / 60.f;
  const float sector = std::floor(hue), within = hue - sector;
  const float v = hsv.value, p = v * (1 - hsv.saturation), q = v * (1 - hsv.saturation * within), t = v * (1 - hsv.saturation * (1 - within));
  switch (static_cast<int>(sector) % 6) {
    case 0:
      return {v, t, p};
    case 1:
      return {q, v, p};
    case 2:
      return {p, v, t};
    case 3:
      return {p, q, v};
    case 4:
      return {t, p, v};
    default:
      return {v, p, q};
  }
}

}  // namespace

PhotometricDistortion::PhotometricDistortion(Random& random) {
  const auto factor = [&] { return random.coin() ? static_cast<float>(random.uniform(kLeastFactor, kMostFactor)) : 1.f; };
  if (random.coin()) brightness_ = static_cast<float>(random.uniform(-kBrightness, kBrightness));
  contrast_first_ = random.coin();
  contrast_ = factor();
  saturation_ = factor();
  if (random.coin()) hue_degrees_ = static_cast<float>(random.uniform(-kHueDegrees, kHueDegrees));
  if (random.coin()) {
    for (int i = 2; i > 0; --i) std::swap(order_[static_cast<size_t>(i)], order_[static_cast<size_t>(random.below(i + 1))]);
  }
}

Pixel PhotometricDistortion::apply(Pixel pixel) const {
  for (float& channel : pixel) {
    channel += brightness_;
    if (contrast_first_) channel *= contrast_;
  }
  // There and back in any case: below 0 that changes a pixel.
  Hsv hsv = to_hsv(pixel);
  hsv.saturation *= saturation_;
  if (saturation_ > 1) hsv.saturation = std::clamp(hsv.saturation, 0.f, 1.f);  // mmdetection 3.3.0; 2.28.2 lets it grow
  hsv.hue_degrees += hue_degrees_;
  if (hsv.hue_degrees >= 360) hsv.hue_degrees -= 360;
  if (hsv.hue_degrees < 0) hsv.hue_degrees += 360;
  pixel = to_rgb(hsv);
  if (!contrast_first_) {
    for (float& channel : pixel) channel *= contrast_;
  }
  Pixel ordered;
  for (size_t i = 0; i < ordered.size(); ++i) ordered[i] = pixel[static_cast<size_t>(order_[i])];
  return ordered;
}

}  // namespace cornernet::train
