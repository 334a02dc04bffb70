#include "checkpoint/config.h"

#include <cmath>
#include <functional>

#include "checkpoint/python_literal.h"

namespace cornernet {
namespace {

using Kind = Literal::Kind;

/// The first dictionary, outermost first in reading order, that `wanted` accepts.
const Literal* search(const Literal& in, const std::function<bool(const Literal&)>& wanted) {
  if (in.kind == Kind::Dict && wanted(in)) return &in;
  for (const auto& [name, value] : in.entries) {
    if (const Literal* found = search(value, wanted)) return found;
  }
  for (const Literal& item : in.items) {
    if (const Literal* found = search(item, wanted)) return found;
  }
  return nullptr;
}

const Literal* search_type(const Literal& in, const char* type) {
  return search(in, [type](const Literal& dict) {
    const Literal* stated = dict.find("type");
    return stated && stated->kind == Kind::String && stated->text == type;
  });
}

std::optional<float> real(const Literal* dict, const char* name) {
  const Literal* value = dict ? dict->find(name) : nullptr;
  if (!value || value->kind != Kind::Number || !std::isfinite(value->number)) return std::nullopt;
  return static_cast<float>(value->number);
}

std::optional<int> integer(const Literal* dict, const char* name) {
  const Literal* value = dict ? dict->find(name) : nullptr;
  if (!value || value->kind != Kind::Number || value->number != std::trunc(value->number) || std::abs(value->number) > 1e9) return std::nullopt;
  return static_cast<int>(value->number);
}

std::optional<bool> boolean(const Literal* dict, const char* name) {
  const Literal* value = dict ? dict->find(name) : nullptr;
  if (!value || value->kind != Kind::Bool) return std::nullopt;
  return value->number != 0;
}

std::optional<std::array<float, 3>> triple(const Literal* dict, const char* name) {
  const Literal* value = dict ? dict->find(name) : nullptr;
  if (!value || value->kind != Kind::List || value->items.size() != 3) return std::nullopt;
  std::array<float, 3> numbers;
  for (size_t i = 0; i < 3; ++i) {
    if (value->items[i].kind != Kind::Number) return std::nullopt;
    numbers[i] = static_cast<float>(value->items[i].number);
  }
  return numbers;
}

/// 2.x normalises in the test pipeline (whose dictionary may only name img_norm_cfg), 3.x in the data preprocessor.
void read_normalisation(const Literal& config, ConfigSettings& settings) {
  const Literal* pipeline = config.find("test_pipeline");
  const Literal* normalise = pipeline ? search_type(*pipeline, "Normalize") : nullptr;
  if (!normalise || !normalise->find("mean")) normalise = config.find("img_norm_cfg");
  const char* to_rgb = "to_rgb";
  if (!normalise) {
    normalise = search_type(config, "DetDataPreprocessor");
    to_rgb = "bgr_to_rgb";
  }
  settings.mean = triple(normalise, "mean");
  settings.std = triple(normalise, "std");
  settings.to_rgb = boolean(normalise, to_rgb);
}

void read_nms(const Literal* nms, ConfigSettings& settings) {
  const Literal* type = nms ? nms->find("type") : nullptr;
  if (!type || type->kind != Kind::String) return;
  if (type->text == "nms") {
    settings.nms_method = "naive";
  } else if (type->text == "soft_nms") {
    // What mmcv's soft_nms takes where the configuration is silent.
    const Literal* method = nms->find("method");
    settings.nms_method = method && method->kind == Kind::String ? method->text : "linear";
    settings.nms_iou_threshold = 0.3f;
  }
  if (const auto stated = real(nms, "iou_threshold")) settings.nms_iou_threshold = stated;
  settings.nms_sigma = real(nms, "sigma");
  settings.nms_min_score = real(nms, "min_score");
}

}  // namespace

ConfigSettings parse_config(const std::string& text) {
  const Literal config = parse_assignments(text);
  ConfigSettings settings;
  read_normalisation(config, settings);
  const Literal* test = search(config, [](const Literal& dict) { return dict.find("corner_topk") != nullptr; });
  settings.corner_topk = integer(test, "corner_topk");
  settings.local_maximum_kernel = integer(test, "local_maximum_kernel");
  settings.max_per_image = integer(test, "max_per_img");
  settings.distance_threshold = real(test, "distance_threshold");
  if (test) read_nms(test->find("nms"), settings);
  const Literal* head = search_type(config, "CornerHead");
  settings.num_classes = integer(head, "num_classes");
  settings.num_feat_levels = integer(head, "num_feat_levels");
  settings.corner_emb_channels = integer(head, "corner_emb_channels");
  settings.num_stacks = integer(search_type(config, "HourglassNet"), "num_stacks");
  return settings;
}

}  // namespace cornernet
