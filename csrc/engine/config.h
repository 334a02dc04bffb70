// What a checkpoint's configuration text states, read as text and never evaluated.
#pragma once
#include <optional>
#include <string>

#include "engine/detector.h"

namespace cornernet {

struct StatedConfig {
  DetectOptions options;  // the default where the text says nothing, or nothing readable
  std::optional<int> num_classes, num_stacks, num_feat_levels, corner_emb_channels;
};

StatedConfig parse_config(const std::string& text);

}  // namespace cornernet
