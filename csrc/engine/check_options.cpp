#include "engine/check_options.h"

#include <cmath>
#include <sstream>
#include <string>

#include "runtime/error.h"

namespace cornernet {
namespace {

template <typename T>
void within(T value, const Limits& limits, const char* name) {
  if (value >= static_cast<T>(limits.least) && value <= static_cast<T>(limits.most)) return;
  std::ostringstream sentence;
  sentence << name << " must be " << limits.least << " to " << limits.most << ", not " << value;
  throw Error(ErrorCode::Option, sentence.str());
}

}  // namespace

void check_picture(const Picture& picture) {
  const size_t bytes = size_t{3} * static_cast<size_t>(picture.width_px) * static_cast<size_t>(picture.height_px);
  require(picture.width_px >= 1 && picture.height_px >= 1 && picture.rgb.size() == bytes, ErrorCode::Input,
          "a picture's bytes do not match its width and height");
}

void check_scales(const std::vector<double>& scales) {
  require(!scales.empty() && scales.size() <= limits::kScales, ErrorCode::Option, "scales must name 1 to 16 scales");
  for (const double scale : scales) within(scale, limits::kScale, "scales");
}

void check_options(const DetectOptions& options) {
  for (const float mean : options.normalisation.mean) within(mean, limits::kMean, "mean");
  for (const float deviation : options.normalisation.std) within(deviation, limits::kStd, "std");
  within(options.decode.corner_topk, limits::kCornerTopk, "cornerTopk");
  within(options.decode.distance_threshold, limits::kDistanceThreshold, "distanceThreshold");
  within(options.decode.local_maximum_kernel, limits::kLocalMaximumKernel, "localMaximumKernel");
  require(options.decode.local_maximum_kernel % 2 == 1, ErrorCode::Option, "localMaximumKernel must be odd");
  // mmcv's plain nms at 1, which drops nothing, is the next number here (engine/config.cpp).
  within(std::nextafter(options.nms.iou_threshold, 0.f), limits::kIouThreshold, "softNms.iouThreshold");
  within(options.nms.sigma, limits::kSigma, "softNms.sigma");
  within(options.nms.min_score, limits::kMinScore, "softNms.minScore");
  within(options.nms.max_per_image, limits::kMaxPerImage, "maxPerImage");
  within(options.score_threshold, limits::kScoreThreshold, "scoreThreshold");
  check_scales(options.scales);
}

void check_stated(const DetectOptions& stated, const std::string& path) {
  try {
    check_options(stated);
  } catch (const Error& error) {
    refuse_checkpoint("the configuration text in the checkpoint " + path + ": " + error.what());
  }
}

}  // namespace cornernet
