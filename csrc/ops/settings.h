// What a detection can be told, as the operators take it: each setting with its one definition and its one default, the published configuration's.
#pragma once
#include <array>
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

}  // namespace cornernet
