#include "ops/cpu/corner_decode_kernel.h"

#include <ATen/Parallel.h>
#include <ATen/ops/sigmoid.h>

#include <algorithm>
#include <cstdint>

#include "ops/corner_pairing.h"

namespace cornernet::cpu {
namespace {

/// One view of a map as fp32 on the CPU, addressed by (channel, y, x) in whichever layout it has.
class Plane {
 public:
  Plane(const at::Tensor& map, int64_t view)
      : data_(map.const_data_ptr<float>() + view * map.stride(0)), strides_{map.stride(1), map.stride(2), map.stride(3)} {}
  float at(int64_t c, int64_t y, int64_t x) const { return data_[c * strides_[0] + y * strides_[1] + x * strides_[2]]; }

 private:
  const float* data_;
  int64_t strides_[3];
};

struct Peak {
  float score;
  int64_t index;  // (class, y, x) flattened, whatever the layout: the order at equal scores

  bool before(const Peak& other) const { return score > other.score || (score == other.score && index < other.index); }
};

/// The best peaks met so far; the worst of them is on top of a heap.
class TopPeaks {
 public:
  explicit TopPeaks(size_t limit) : limit_(limit) {}
  bool wants(const Peak& peak) const { return peaks_.size() < limit_ || peak.before(peaks_.front()); }
  /// No score below it is wanted any more.
  float floor() const { return peaks_.size() < limit_ ? 0.f : peaks_.front().score; }
  void add(const Peak& peak) {
    if (peaks_.size() == limit_) {
      std::pop_heap(peaks_.begin(), peaks_.end(), order);
      peaks_.pop_back();
    }
    peaks_.push_back(peak);
    std::push_heap(peaks_.begin(), peaks_.end(), order);
  }
  std::vector<Peak> sorted() && {
    std::sort_heap(peaks_.begin(), peaks_.end(), order);
    return std::move(peaks_);
  }

 private:
  static bool order(const Peak& a, const Peak& b) { return a.before(b); }
  size_t limit_;
  std::vector<Peak> peaks_;
};

[[gnu::target_clones("arch=skylake-avx512", "avx2", "default")]] bool any_reaches(const float* scores, int64_t n, float floor) {
  int reached = 0;
  for (int64_t i = 0; i < n; ++i) reached |= scores[i] >= floor;
  return reached != 0;
}

/// fp32 scores of one view, and the search for the local maxima among them.
class PeakSearch {
 public:
  PeakSearch(const at::Tensor& scores, int64_t view, int64_t radius)
      : plane_(scores, view), classes_(scores.size(1)), height_(scores.size(2)), width_(scores.size(3)), radius_(radius) {
    data_ = scores.const_data_ptr<float>() + view * scores.stride(0);
    channels_last_ = scores.stride(1) == 1 && classes_ > 1;
  }

  std::vector<Peak> best(size_t limit) const {
    TopPeaks top(limit);
    const int64_t elements = classes_ * height_ * width_;
    constexpr int64_t kBlock = 256;  // skipped as a whole when nothing in it is high enough
    for (int64_t first = 0; first < elements; first += kBlock) {
      const int64_t n = std::min(kBlock, elements - first);
      if (!any_reaches(data_ + first, n, top.floor())) continue;
      for (int64_t i = first; i < first + n; ++i) consider(i, top);
    }
    return std::move(top).sorted();
  }

 private:
  void consider(int64_t memory_index, TopPeaks& top) const {
    const float score = data_[memory_index];
    if (!(score > 0.f) || score < top.floor()) return;  // also NaN
    const auto [c, y, x] = position(memory_index);
    const Peak peak{score, (c * height_ + y) * width_ + x};
    if (top.wants(peak) && is_local_maximum(score, c, y, x)) top.add(peak);
  }

  struct Position {
    int64_t c, y, x;
  };
  Position position(int64_t i) const {
    if (channels_last_) return {i % classes_, i / classes_ / width_, i / classes_ % width_};
    return {i / width_ / height_, i / width_ % height_, i % width_};
  }

  bool is_local_maximum(float score, int64_t c, int64_t y, int64_t x) const {
    for (int64_t j = std::max<int64_t>(0, y - radius_); j <= std::min(height_ - 1, y + radius_); ++j) {
      for (int64_t i = std::max<int64_t>(0, x - radius_); i <= std::min(width_ - 1, x + radius_); ++i) {
        if (!(score >= plane_.at(c, j, i))) return false;  // a NaN beside it too, as max-pooling spreads NaN
      }
    }
    return true;
  }

  Plane plane_;
  const float* data_;
  int64_t classes_, height_, width_, radius_;
  bool channels_last_;
};

std::vector<Corner> corners_of(const at::Tensor& scores, const at::Tensor& embeddings, const at::Tensor& offsets, int64_t view,
                               const ViewGeometry& geometry, const DecodeOptions& options) {
  const int64_t height = scores.size(2), width = scores.size(3);
  const PeakSearch search(scores, view, options.local_maximum_kernel / 2);
  const Plane embedding(embeddings, view), offset(offsets, view);
  std::vector<Corner> corners;
  for (const Peak& peak : search.best(static_cast<size_t>(options.corner_topk))) {
    const int64_t x = peak.index % width, y = peak.index / width % height;
    corners.push_back({picture_coordinate(static_cast<float>(x), offset.at(0, y, x), geometry.scale_x, geometry.left_px),
                       picture_coordinate(static_cast<float>(y), offset.at(1, y, x), geometry.scale_y, geometry.top_px), peak.score,
                       embedding.at(0, y, x), static_cast<int>(peak.index / width / height)});
  }
  return corners;
}

std::vector<Candidate> pair_corners(const std::vector<Corner>& tls, const std::vector<Corner>& brs, const DecodeOptions& options) {
  std::vector<Candidate> pairs;  // in the order of the pair's index, which a stable sort keeps at equal scores
  for (const Corner& tl : tls) {
    for (const Corner& br : brs) {
      if (makes_box(tl, br, options.distance_threshold)) pairs.push_back({tl.x, tl.y, br.x, br.y, pair_score(tl, br), tl.class_id});
    }
  }
  std::stable_sort(pairs.begin(), pairs.end(), [](const Candidate& a, const Candidate& b) { return a.score > b.score; });
  if (pairs.size() > static_cast<size_t>(options.max_candidates)) pairs.resize(static_cast<size_t>(options.max_candidates));
  return pairs;
}

/// fp32 on the CPU, dense in one of the two layouts.
at::Tensor readable(const at::Tensor& map) {
  const at::Tensor values = map.to(at::kCPU, at::kFloat);
  const bool dense = values.is_contiguous() || values.is_contiguous(at::MemoryFormat::ChannelsLast);
  return dense ? values : values.contiguous();
}

}  // namespace

CandidateLists decode_corners(const CornerMaps& maps, const std::vector<ViewGeometry>& views, const DecodeOptions& options) {
  const at::Tensor scores[2] = {at::sigmoid(readable(maps.tl_heat)), at::sigmoid(readable(maps.br_heat))};
  const at::Tensor embeddings[2] = {readable(maps.tl_emb), readable(maps.br_emb)};
  const at::Tensor offsets[2] = {readable(maps.tl_off), readable(maps.br_off)};
  std::vector<std::vector<Corner>> corners(2 * views.size());
  at::parallel_for(0, static_cast<int64_t>(corners.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      corners[static_cast<size_t>(i)] =
          corners_of(scores[i % 2], embeddings[i % 2], offsets[i % 2], i / 2, views[static_cast<size_t>(i / 2)], options);
    }
  });
  CandidateLists candidates;
  for (size_t view = 0; view < views.size(); ++view) candidates.push_back(pair_corners(corners[2 * view], corners[2 * view + 1], options));
  return candidates;
}

}  // namespace cornernet::cpu
