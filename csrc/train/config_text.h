// The configuration that a checkpoint of ours carries: mmdetection 3.x's text of the network and of its test, as far as
// its init_detector and inference_detector read it.
#pragma once
#include <string>
#include <vector>

#include "engine/detector.h"
#include "nn/cornernet.h"

namespace cornernet::train {

std::string config_text(const CornerNetConfig& config, const DetectOptions& options, const std::vector<std::string>& classes);

}  // namespace cornernet::train
