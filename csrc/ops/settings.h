// What a detection can be told, as the operators take it: each setting with its one definition and its one default, the published configuration's.
#pragma once
#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

namespace cornernet {

/// Where mmdetection 2.x and 3.x differ: NUMERICS in the documentation.
enum class Numerics { Mmdet2, Mmdet3 };

/// Per-channel mean and standard deviation in the order the network takes its channels; `to_rgb` false feeds BGR.
struct Normalisation {
  std::array<float, 3> mean{123.675f, 116.28f, 103.53f};
  std::array<float, 3> std{58.395f, 57.12f, 57.375f};
  bool to_rgb = true;
};

struct DecodeOptions {
  int corner_topk = 100;
  float distance_threshold = 0.5f;
  int local_maximum_kernel = 3;
  int max_candidates = 1000;
};

enum class SoftNmsMethod { Naive, Linear, Gaussian };
/// By its name in configurations and options; none for another word.
constexpr std::optional<SoftNmsMethod> soft_nms_method(std::string_view name) {
  if (name == "naive") return SoftNmsMethod::Naive;
  if (name == "linear") return SoftNmsMethod::Linear;
  if (name == "gaussian") return SoftNmsMethod::Gaussian;
  return std::nullopt;
}

struct SoftNmsOptions {
  SoftNmsMethod method = SoftNmsMethod::Gaussian;
  float iou_threshold = 0.5f;  // read by Naive and Linear
  float sigma = 0.5f;          // read by Gaussian
  float min_score = 1e-3f;
  int max_per_image = 100;
};

/// Both ends are allowed.
struct Limits {
  double least, most;
};

/// Of what users and checkpoints may set; lib/options/table.ts has the same, which test/unit/native.test.ts holds together. 1e6 and 1e30 keep fp32's
/// arithmetic finite.
namespace limits {
inline constexpr Limits kMean{-1e6, 1e6}, kStd{1e-6, 1e6};
inline constexpr Limits kCornerTopk{1, 10'000}, kDistanceThreshold{0, 1e30}, kLocalMaximumKernel{1, 31};
inline constexpr Limits kIouThreshold{0, 1}, kSigma{1e-6, 1e30}, kMinScore{0, 1e30}, kMaxPerImage{1, 100'000};
inline constexpr Limits kScoreThreshold{0, 1}, kScale{0.1, 4};
inline constexpr size_t kScales = 16;  // at most so many at once
}  // namespace limits

}  // namespace cornernet
