// The settings that a checkpoint's configuration text states, read as text and never evaluated.
#pragma once
#include <array>
#include <optional>
#include <string>

namespace cornernet {

/// What the text states; absent where it says nothing or nothing readable.
struct ConfigSettings {
  std::optional<std::array<float, 3>> mean, std;
  std::optional<bool> to_rgb;
  std::optional<int> corner_topk, local_maximum_kernel, max_per_image;
  std::optional<float> distance_threshold;
  std::optional<std::string> nms_method;  // "naive", "linear", "gaussian"
  std::optional<float> nms_iou_threshold, nms_sigma, nms_min_score;
  std::optional<int> num_classes, num_stacks, num_feat_levels, corner_emb_channels;
};

ConfigSettings parse_config(const std::string& text);

}  // namespace cornernet
