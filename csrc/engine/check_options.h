// Whether a detection's settings lie within their limits, wherever they come from (JavaScript or a checkpoint's configuration), and a picture is
// whole.
#pragma once
#include <string>
#include <vector>

#include "engine/detector.h"

namespace cornernet {

/// Throws Error(Option) that names the setting, its limits (ops/settings.h) and its value.
void check_options(const DetectOptions& options);
void check_scales(const std::vector<double>& scales);
/// Of the configuration text in a checkpoint. Throws Error(Checkpoint).
void check_stated(const DetectOptions& stated, const std::string& path);
/// Throws Error(Input).
void check_picture(const Picture& picture);

}  // namespace cornernet
