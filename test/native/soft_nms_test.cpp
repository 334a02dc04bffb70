#include "ops/soft_nms.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "test.h"

using namespace cornernet;
using namespace cornernet::testing;

namespace {

/// The definition in fp64, without the reference's shift: boxes of other classes don't overlap.
std::vector<Candidate> naive(std::vector<Candidate> left, const SoftNmsOptions& options) {
  std::vector<Candidate> picked;
  std::vector<double> scores;
  for (const Candidate& c : left) scores.push_back(c.score);
  while (!left.empty() && picked.size() < static_cast<size_t>(options.max_per_image)) {
    const auto best = static_cast<size_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
    const Candidate p = left[best];
    picked.push_back(p);
    picked.back().score = static_cast<float>(scores[best]);
    left.erase(left.begin() + static_cast<std::ptrdiff_t>(best));
    scores.erase(scores.begin() + static_cast<std::ptrdiff_t>(best));
    for (size_t i = left.size(); i-- > 0;) {
      const Candidate& c = left[i];
      const double w = std::min<double>(p.x2, c.x2) - std::max<double>(p.x1, c.x1), h = std::min<double>(p.y2, c.y2) - std::max<double>(p.y1, c.y1);
      double iou = 0;
      if (p.class_id == c.class_id && w > 0 && h > 0) {
        const double area = [](const Candidate& b) { return double(b.x2 - b.x1) * double(b.y2 - b.y1); }(p) +
                            double(c.x2 - c.x1) * double(c.y2 - c.y1);
        iou = w * h / (area - w * h);
      }
      const bool over = iou >= options.iou_threshold;
      if (options.method == SoftNmsMethod::Gaussian) scores[i] *= std::exp(-iou * iou / options.sigma);
      if (options.method == SoftNmsMethod::Linear && over) scores[i] *= 1 - iou;
      if (options.method == SoftNmsMethod::Naive && over) scores[i] = 0;
      if (scores[i] < options.min_score) {
        left.erase(left.begin() + static_cast<std::ptrdiff_t>(i));
        scores.erase(scores.begin() + static_cast<std::ptrdiff_t>(i));
      }
    }
  }
  return picked;
}

std::vector<Candidate> draw(size_t count, unsigned seed) {
  std::mt19937 random(seed);
  const auto uniform = [&](float low, float high) { return std::uniform_real_distribution<float>(low, high)(random); };
  std::vector<Candidate> boxes;
  for (size_t i = 0; i < count; ++i) {
    const float x = uniform(0, 60), y = uniform(0, 60);
    boxes.push_back({x, y, x + uniform(5, 40), y + uniform(5, 40), uniform(0.05f, 1), static_cast<int>(random() % 3)});
  }
  return boxes;
}

const Registration methods("soft_nms: every method equals the definition", [] {
  for (const auto method : {SoftNmsMethod::Gaussian, SoftNmsMethod::Linear, SoftNmsMethod::Naive}) {
    for (const unsigned seed : {1u, 2u, 3u}) {
      SoftNmsOptions options;
      options.method = method;
      const auto boxes = draw(60, seed);
      const auto got = soft_nms(boxes, options), wanted = naive(boxes, options);
      check(got.size() == wanted.size(), got.size(), " boxes, not ", wanted.size());
      for (size_t i = 0; i < got.size(); ++i) {
        // fp32 boxes shifted by up to 300 px carry 3e-5 px of rounding, which many decays add up.
        check(std::abs(got[i].score - wanted[i].score) < 2e-4f, "score ", i, " is ", got[i].score, ", not ", wanted[i].score);
        check(i == 0 || got[i].score <= got[i - 1].score, "scores rise");
      }
    }
  }
});

const Registration limits("soft_nms: the first survives at any score, the others not below the least; at most max_per_image", [] {
  SoftNmsOptions options;
  check(soft_nms({}, options).empty(), "something came of nothing");
  const auto kept = soft_nms({{0, 0, 10, 10, 1e-5f, 0}, {50, 50, 60, 60, 2e-5f, 0}}, options);
  check(kept.size() == 1 && kept[0].score == 2e-5f, kept.size(), " boxes are kept");
  options.max_per_image = 7;
  check(soft_nms(draw(50, 4), options).size() == 7, "more than asked for are kept");
});

const Registration classes("soft_nms: boxes of other classes are left alone, and all keep their own coordinates", [] {
  const auto kept = soft_nms({{1, 2, 11, 12, 0.9f, 0}, {1, 2, 11, 12, 0.8f, 1}, {1, 2, 11, 12, 0.7f, 0}}, {});
  check(kept.size() == 3 && kept[1].score == 0.8f && kept[1].class_id == 1, "another class decayed");
  // The same box again: its overlap is 1, its weight exp(-1 / 0.5).
  check(std::abs(kept[2].score - 0.7f * std::exp(-2.f)) < 1e-6f, "the twin's score is ", kept[2].score);
  for (const Candidate& c : kept) check(c.x1 == 1 && c.y1 == 2 && c.x2 == 11 && c.y2 == 12, "a box has moved");
});

}  // namespace
