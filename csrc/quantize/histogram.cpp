#include "quantize/histogram.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace cornernet::quantization {
namespace {

// Where nothing but zeros was seen.
constexpr double kSmallestClip = 1e-6;
// Clips that are tried between none of the range and all of it.
constexpr int kTries = 100;

int levels_of(bool has_sign) { return has_sign ? 127 : 255; }

}  // namespace

void Histogram::add(const float* values, int64_t count, float largest) {
  if (range_ == 0 && largest > 0) range_ = std::max(largest, static_cast<float>(kSmallestClip));
  while (range_ < largest) {
    for (int64_t i = 0; i < kBins / 2; ++i) counts_[i] = counts_[2 * i] + counts_[2 * i + 1];
    std::fill(counts_.begin() + kBins / 2, counts_.end(), 0);
    range_ *= 2;
  }
  largest_ = std::max(largest_, largest);
  total_ += static_cast<double>(count);
  const float bins = range_ > 0 ? static_cast<float>(kBins) / range_ : 0;
  for (int64_t i = 0; i < count; ++i) {
    const float magnitude = std::abs(values[i]);
    if (magnitude > 0) {
      counts_[static_cast<size_t>(std::min(static_cast<int64_t>(magnitude * bins), kBins - 1))] += 1;
    } else {
      zeros_ += 1;
    }
  }
}

double Histogram::percentile(double part) const {
  double below = zeros_;
  for (int64_t i = 0; i < kBins; ++i) {
    below += counts_[i];
    if (below >= part * total_) return std::min(middle(i) + 0.5 * range_ / kBins, static_cast<double>(largest_));
  }
  return largest_;
}

double Histogram::squared_error(double scale, int levels) const {
  const double within = std::pow(range_ / kBins, 2) / 12;  // what a bin's numbers differ by from its middle
  double sum = 0;
  for (int64_t i = 0; i < kBins; ++i) {
    if (counts_[i] == 0) continue;
    const double rounded = std::min(std::nearbyint(middle(i) / scale), static_cast<double>(levels)) * scale;
    const bool told_apart = middle(i) > levels * scale || range_ / kBins < scale / 4;  // wider bins hold all errors of a step alike
    sum += counts_[i] * (told_apart ? std::pow(middle(i) - rounded, 2) + within : scale * scale / 12);
  }
  return sum;
}

double Histogram::divergence(double clip, int levels) const {
  const int64_t bins = std::clamp<int64_t>(std::llround(clip / range_ * kBins), 1, kBins);
  double beyond = 0;
  for (int64_t i = bins; i < kBins; ++i) beyond += counts_[i];
  const double total = total_ - zeros_;
  double sum = 0;
  for (int level = 0; level < levels; ++level) {
    const int64_t first = bins * level / levels, end = bins * (level + 1) / levels;
    double mass = 0, filled = 0;
    for (int64_t i = first; i < end; ++i) mass += counts_[i], filled += counts_[i] > 0 ? 1 : 0;
    for (int64_t i = first; i < end; ++i) {
      const double exact = (counts_[i] + (i == bins - 1 ? beyond : 0)) / total, rounded = filled > 0 && counts_[i] > 0 ? mass / filled / total : 0;
      // What the rounded distribution doesn't have at all costs as much as one count there would. In fp32: the logarithm of doubles is of glibc 2.29.
      if (exact > 0) sum += exact * std::log(static_cast<float>(exact / std::max(rounded, 1 / total)));
    }
  }
  return sum;
}

double Histogram::scale(Method method, bool has_sign) const {
  const int levels = levels_of(has_sign);
  const auto scale_of = [&](double clip) { return std::max(clip, kSmallestClip) / levels; };
  if (largest_ <= 0) return scale_of(0);
  if (const double below = kMethods[static_cast<int>(method)].below; below > 0) return scale_of(below < 1 ? percentile(below) : largest_);
  double best = largest_, least_error = std::numeric_limits<double>::infinity();
  for (int i = kTries; i > kTries / 20; --i) {
    const double clip = static_cast<double>(largest_) * i / kTries;
    const double error = method == Method::SquaredError ? squared_error(clip / levels, levels) : divergence(clip, levels);
    if (error < least_error) best = clip, least_error = error;
  }
  return scale_of(best);
}

double Histogram::rounding(double scale, bool has_sign) const {
  double power = 0;
  for (int64_t i = 0; i < kBins; ++i) power += counts_[i] * middle(i) * middle(i);
  return power > 0 ? std::sqrt(squared_error(scale, levels_of(has_sign)) / power) : 0;
}

}  // namespace cornernet::quantization
