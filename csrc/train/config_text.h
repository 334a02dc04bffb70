// The configuration that a checkpoint of ours carries: mmdetection 3.x's text of the network and of its test.
#pragma once
#include <string>

#include "engine/detector.h"
#include "nn/cornernet.h"

namespace cornernet::train {

std::string config_text(const CornerNetConfig& config, const DetectOptions& options);

}  // namespace cornernet::train
