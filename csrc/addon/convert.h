// Between JavaScript values and the facade's plain structs. Nothing that comes in is trusted: every type, length and size is checked.
#pragma once
#include <napi.h>

#include <string>
#include <vector>

#include "engine/detector.h"

namespace cornernet {

/// Every one throws Error(Option) or Error(Input) that names the property.
LoadOptions load_options_from_js(const Napi::Value& value);
DetectOptions detect_options_from_js(const Napi::Value& value);
Settings settings_from_js(const Napi::Value& value);
/// Copies the bytes.
Picture picture_from_js(const Napi::Value& value);
std::vector<Picture> pictures_from_js(const Napi::Value& value);

Napi::Object info_to_js(Napi::Env env, const DetectorInfo& info);
Napi::Object build_info_to_js(Napi::Env env, const BuildInfo& info);
Napi::Object heads_to_js(Napi::Env env, const Heads& heads);
/// x1, y1, x2, y2, score, class id per detection.
std::vector<Candidate> detections_from_js(const Napi::Value& value);
Napi::Float32Array detections_to_js(Napi::Env env, const std::vector<Candidate>& detections);
/// One such array a picture, and the stages' times of each picture where they were asked for.
Napi::Object found_to_js(Napi::Env env, const Found& found);
/// Memory of V8's own: Electron allows no other.
Napi::Float32Array floats_to_js(Napi::Env env, const std::vector<float>& values);

}  // namespace cornernet
