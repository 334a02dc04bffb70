#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <queue>

#include "ops/corner_pairing.h"
#include "ops/cpu/element.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/widest_vectors.h"
#include "runtime/interrupt.h"

namespace cornernet::cpu {
namespace {

/// One view of a map on the CPU, addressed by (channel, y, x) in whichever layout it has, read as fp32.
template <typename T>
class Plane {
 public:
  Plane(const at::Tensor& map, int64_t view)
      : data_(map.const_data_ptr<T>() + view * map.stride(0)), strides_{map.stride(1), map.stride(2), map.stride(3)} {}
  float at(int64_t c, int64_t y, int64_t x) const { return Element<T>::load(data_[c * strides_[0] + y * strides_[1] + x * strides_[2]]); }

 private:
  const T* data_;
  int64_t strides_[3];
};

struct Peak {
  float score;
  int64_t index;  // (class, y, x) flattened, whatever the layout: the order at equal scores

  bool before(const Peak& other) const { return score > other.score || (score == other.score && index < other.index); }
};

/// The best peaks met so far, the worst of them on top.
class TopPeaks {
 public:
  explicit TopPeaks(size_t limit) : limit_(limit) {}
  bool wants(const Peak& peak) const { return peaks_.size() < limit_ || peak.before(peaks_.top()); }
  /// No score below it is wanted any more.
  float floor() const { return peaks_.size() < limit_ ? 0.f : peaks_.top().score; }
  void add(const Peak& peak) {
    if (peaks_.size() == limit_) peaks_.pop();
    peaks_.push(peak);
  }
  std::vector<Peak> sorted() && {
    std::vector<Peak> best(peaks_.size());
    for (size_t i = best.size(); i-- > 0; peaks_.pop()) best[i] = peaks_.top();
    return best;
  }

 private:
  struct Order {
    bool operator()(const Peak& a, const Peak& b) const { return a.before(b); }
  };
  size_t limit_;
  std::priority_queue<Peak, std::vector<Peak>, Order> peaks_;
};

struct Look {
  bool reaches, finite;
};

/// Whether any logit is at least `floor`, and all are finite.
template <typename T>
Look look_at(const T* logits, int64_t n, float floor) {
  Look look{};
  with_widest_vectors([&] {
    int any = 0, odd = 0;
    for (int64_t i = 0; i < n; ++i) {
      const float logit = Element<T>::load(logits[i]);
      any |= logit >= floor;
      odd |= !is_finite(logit);
    }
    look = {any != 0, odd == 0};
  });
  return look;
}

/// The search for one view's local maxima. It goes over the logits: scores are made only of those that may be among the best.
template <typename T>
class PeakSearch {
 public:
  PeakSearch(const at::Tensor& logits, int64_t view, int64_t radius)
      : plane_(logits, view), classes_(logits.size(1)), height_(logits.size(2)), width_(logits.size(3)), radius_(radius) {
    data_ = logits.const_data_ptr<T>() + view * logits.stride(0);
    channels_last_ = logits.stride(1) == 1 && classes_ > 1;
  }

  /// None at all of logits that are not finite.
  std::optional<std::vector<Peak>> best(size_t limit, InterruptFlag interrupted) const {
    TopPeaks top(limit);
    const int64_t elements = classes_ * height_ * width_;
    constexpr int64_t kBlock = 1024;  // skipped as a whole when nothing in it is high enough
    for (int64_t first = 0; first < elements; first += kBlock) {
      check_interrupted(interrupted);
      const int64_t n = std::min(kBlock, elements - first);
      const float floor = logit_below(top.floor());
      const Look look = look_at(data_ + first, n, floor);
      if (!look.finite) return std::nullopt;
      if (!look.reaches) continue;
      for (int64_t i = first; i < first + n; ++i) {
        if (Element<T>::load(data_[i]) >= floor) consider(i, top);
      }
    }
    return std::move(top).sorted();
  }

 private:
  void consider(int64_t memory_index, TopPeaks& top) const {
    const float logit = Element<T>::load(data_[memory_index]), score = sigmoid(logit);
    if (!(score > 0.f) || score < top.floor()) return;
    const auto [c, y, x] = position(memory_index);
    const Peak peak{score, (c * height_ + y) * width_ + x};
    if (top.wants(peak) && is_local_maximum(logit, c, y, x)) top.add(peak);
  }

  struct Position {
    int64_t c, y, x;
  };
  Position position(int64_t i) const {
    if (channels_last_) return {i % classes_, i / classes_ / width_, i / classes_ % width_};
    return {i / width_ / height_, i / width_ % height_, i % width_};
  }

  bool is_local_maximum(float logit, int64_t c, int64_t y, int64_t x) const {
    for (int64_t j = std::max<int64_t>(0, y - radius_); j <= std::min(height_ - 1, y + radius_); ++j) {
      for (int64_t i = std::max<int64_t>(0, x - radius_); i <= std::min(width_ - 1, x + radius_); ++i) {
        if (beats(plane_.at(c, j, i), logit)) return false;
      }
    }
    return true;
  }

  Plane<T> plane_;
  const T* data_;
  int64_t classes_, height_, width_, radius_;
  bool channels_last_;
};

/// The best peaks of one view of logits in fp32 or bf16.
std::optional<std::vector<Peak>> best_peaks(const at::Tensor& logits, int64_t view, const DecodeOptions& options, InterruptFlag interrupted) {
  const int64_t radius = options.local_maximum_kernel / 2;
  const auto topk = static_cast<size_t>(options.corner_topk);
  if (logits.scalar_type() == at::kBFloat16) return PeakSearch<c10::BFloat16>(logits, view, radius).best(topk, interrupted);
  return PeakSearch<float>(logits, view, radius).best(topk, interrupted);
}

/// None at all where the maps are not finite: in any place of the heatmap, or at a peak's.
std::optional<std::vector<Corner>> corners_of(const CornerMaps& maps, int64_t view, const ViewGeometry& geometry, const DecodeOptions& options,
                                              InterruptFlag interrupted) {
  const int64_t height = maps.heat.size(2), width = maps.heat.size(3);
  const Plane<float> embedding(maps.emb, view), offset(maps.off, view);
  const auto peaks = best_peaks(maps.heat, view, options, interrupted);
  if (!peaks) return std::nullopt;
  std::vector<Corner> corners;
  for (const Peak& peak : *peaks) {
    const int64_t x = peak.index % width, y = peak.index / width % height;
    const float right = offset.at(0, y, x), down = offset.at(1, y, x), tag = embedding.at(0, y, x);
    const Corner corner{picture_coordinate(static_cast<float>(x), right, geometry.scale_x, geometry.left_px),
                        picture_coordinate(static_cast<float>(y), down, geometry.scale_y, geometry.top_px), peak.score, tag,
                        static_cast<int>(peak.index / width / height)};
    if (!is_usable(corner, right, down)) return std::nullopt;
    corners.push_back(corner);
  }
  return corners;
}

/// The best pairs. What can't be among them any more is dropped as it comes: there may be 10,000 corners a side.
std::vector<Candidate> pair_corners(const std::vector<Corner>& tls, const std::vector<Corner>& brs, const DecodeOptions& options) {
  std::vector<Candidate> pairs;  // in the order of the pair's index, which a stable sort keeps at equal scores
  const auto most = static_cast<size_t>(options.max_candidates);
  const auto keep_best = [&] {
    std::stable_sort(pairs.begin(), pairs.end(), [](const Candidate& a, const Candidate& b) { return a.score > b.score; });
    if (pairs.size() > most) pairs.resize(most);
  };
  float beaten = -1.f;  // by `most` pairs of lower indices
  for (const Corner& tl : tls) {
    check_interrupted();
    for (const Corner& br : brs) {
      if (!makes_box(tl, br, options.distance_threshold) || pair_score(tl, br) <= beaten) continue;
      pairs.push_back({tl.x, tl.y, br.x, br.y, pair_score(tl, br), tl.class_id});
      if (pairs.size() < 16 * most) continue;
      keep_best();
      beaten = pairs.back().score;
    }
  }
  keep_best();
  return pairs;
}

/// On the CPU in `type`, dense in one of the two layouts.
at::Tensor readable(const at::Tensor& map, at::ScalarType type = at::kFloat) {
  const at::Tensor values = map.to(at::kCPU, type);
  const bool dense = values.is_contiguous() || values.is_contiguous(at::MemoryFormat::ChannelsLast);
  return dense ? values : values.contiguous();
}

}  // namespace

DecodedViews decode_corners(const HeadMaps& maps, const std::vector<ViewGeometry>& views, const DecodeOptions& options) {
  const auto readable_maps = [](const CornerMaps& corner) {
    const auto type = corner.heat.scalar_type() == at::kBFloat16 ? at::kBFloat16 : at::kFloat;
    return CornerMaps{readable(corner.heat, type), readable(corner.emb), readable(corner.off)};
  };
  const CornerMaps sides[2] = {readable_maps(maps.tl), readable_maps(maps.br)};
  std::vector<std::optional<std::vector<Corner>>> corners(2 * views.size());
  const InterruptFlag interrupted = interrupt_flag;
  at::parallel_for(0, static_cast<int64_t>(corners.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      corners[static_cast<size_t>(i)] = corners_of(sides[i % 2], i / 2, views[static_cast<size_t>(i / 2)], options, interrupted);
    }
  });
  DecodedViews decoded(views.size());
  for (size_t view = 0; view < views.size(); ++view) {
    const auto &tls = corners[2 * view], &brs = corners[2 * view + 1];
    decoded[view].finite = tls && brs;
    if (decoded[view].finite) decoded[view].candidates = pair_corners(*tls, *brs, options);
  }
  return decoded;
}

}  // namespace cornernet::cpu
