#include "engine/config.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

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

const Literal* find(const Literal* dict, const char* name, Kind kind) {
  const Literal* value = dict ? dict->find(name) : nullptr;
  return value && value->kind == kind ? value : nullptr;
}

const Literal* search_type(const Literal& in, const char* type) {
  return search(in, [type](const Literal& dict) {
    const Literal* stated = find(&dict, "type", Kind::String);
    return stated && stated->text == type;
  });
}

// Each takes what the dictionary states under a name, if it is of the setting's type.
void read(const Literal* dict, const char* name, float& setting) {
  const Literal* value = find(dict, name, Kind::Number);
  if (value && std::isfinite(value->number)) setting = static_cast<float>(value->number);
}

void read(const Literal* dict, const char* name, bool& setting) {
  if (const Literal* value = find(dict, name, Kind::Bool)) setting = value->number != 0;
}

void read(const Literal* dict, const char* name, std::array<float, 3>& setting) {
  const Literal* value = find(dict, name, Kind::List);
  if (!value || value->items.size() != 3) return;
  if (!std::ranges::all_of(value->items, [](const Literal& item) { return item.kind == Kind::Number; })) return;
  std::ranges::transform(value->items, setting.begin(), [](const Literal& item) { return static_cast<float>(item.number); });
}

std::optional<int> integer(const Literal* dict, const char* name) {
  const Literal* value = find(dict, name, Kind::Number);
  if (!value || value->number != std::trunc(value->number)) return std::nullopt;
  return static_cast<int>(std::clamp(value->number, -1e9, 1e9));  // all of them beyond what any setting allows
}

void read(const Literal* dict, const char* name, int& setting) { setting = integer(dict, name).value_or(setting); }

/// 2.x normalises in the test pipeline (whose dictionary may only name img_norm_cfg), 3.x in the data preprocessor.
void read_normalisation(const Literal& config, Normalisation& normalisation) {
  const Literal* pipeline = config.find("test_pipeline");
  const Literal* stated = pipeline ? search_type(*pipeline, "Normalize") : nullptr;
  if (!stated || !stated->find("mean")) stated = config.find("img_norm_cfg");
  const char* to_rgb = "to_rgb";
  if (!stated) {
    stated = search_type(config, "DetDataPreprocessor");
    to_rgb = "bgr_to_rgb";
  }
  read(stated, "mean", normalisation.mean);
  read(stated, "std", normalisation.std);
  read(stated, to_rgb, normalisation.to_rgb);
}

void read_nms(const Literal* stated, SoftNmsOptions& nms) {
  const Literal* type = find(stated, "type", Kind::String);
  if (!type) return;
  if (type->text == "nms") {  // mmcv's drops what overlaps more than the threshold, soft_nms what overlaps as much; and it has no least score
    read(stated, "iou_threshold", nms.iou_threshold);
    nms = {.method = SoftNmsMethod::Naive,
           .iou_threshold = std::nextafter(nms.iou_threshold, 2.f),
           .min_score = std::numeric_limits<float>::min(),
           .max_per_image = nms.max_per_image};
    return;
  }
  if (type->text == "soft_nms") {
    // What mmcv's soft_nms takes where the configuration is silent.
    const Literal* method = find(stated, "method", Kind::String);
    nms.method = soft_nms_method(method ? method->text : "linear").value_or(nms.method);
    nms.iou_threshold = 0.3f;
  }
  read(stated, "iou_threshold", nms.iou_threshold);
  read(stated, "sigma", nms.sigma);
  read(stated, "min_score", nms.min_score);
}

}  // namespace

StatedConfig parse_config(const std::string& text) {
  const Literal config = parse_assignments(text);
  StatedConfig stated;
  DetectOptions& options = stated.options;
  read_normalisation(config, options.normalisation);
  if (const Literal* pipeline = config.find("test_pipeline")) {  // 3.x's and ours see a picture once; 2.x says it there
    options.flip = false;
    read(search_type(*pipeline, "MultiScaleFlipAug"), "flip", options.flip);
  }
  const Literal* test = search(config, [](const Literal& dict) { return dict.find("corner_topk") != nullptr; });
  read(test, "corner_topk", options.decode.corner_topk);
  read(test, "local_maximum_kernel", options.decode.local_maximum_kernel);
  read(test, "distance_threshold", options.decode.distance_threshold);
  read(test, "max_per_img", options.nms.max_per_image);
  if (test) read_nms(test->find("nms"), options.nms);
  const Literal* head = search_type(config, "CornerHead");
  stated.num_classes = integer(head, "num_classes");
  stated.num_feat_levels = integer(head, "num_feat_levels");
  stated.corner_emb_channels = integer(head, "corner_emb_channels");
  stated.num_stacks = integer(search_type(config, "HourglassNet"), "num_stacks");
  return stated;
}

}  // namespace cornernet
