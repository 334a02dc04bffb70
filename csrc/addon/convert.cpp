#include "addon/convert.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "addon/from_js.h"
#include "runtime/error.h"

namespace cornernet {
namespace {

constexpr size_t kMaxPictures = 4096;
constexpr int kMaxSidePx = 1 << 20;
constexpr size_t kFloatsADetection = 6, kMaxDetections = 1 << 20;
constexpr int kMaxClasses = 1 << 16;

std::array<float, 3> triple(const Napi::Object& from, const char* name) {
  const Napi::Value value = from.Get(name);
  if (!value.IsArray() || value.As<Napi::Array>().Length() != 3) refuse(name, "an array of three numbers");
  std::array<float, 3> values;
  for (uint32_t i = 0; i < 3; ++i) {
    const Napi::Value item = value.As<Napi::Array>().Get(i);
    if (!item.IsNumber() || !std::isfinite(item.As<Napi::Number>().DoubleValue())) refuse(name, "an array of three numbers");
    values[i] = item.As<Napi::Number>().FloatValue();
  }
  return values;
}

Napi::Array triple_to_js(Napi::Env env, const std::array<float, 3>& values) {
  Napi::Array list = Napi::Array::New(env, 3);
  for (uint32_t i = 0; i < 3; ++i) list.Set(i, values[i]);
  return list;
}

Napi::Array strings_to_js(Napi::Env env, const std::vector<std::string>& values) {
  Napi::Array list = Napi::Array::New(env, values.size());
  for (uint32_t i = 0; i < values.size(); ++i) list.Set(i, values[i]);
  return list;
}

Napi::Object settings_to_js(Napi::Env env, const Settings& settings) {
  Napi::Object js = Napi::Object::New(env);
  js.Set("mean", triple_to_js(env, settings.mean));
  js.Set("std", triple_to_js(env, settings.std));
  js.Set("toRgb", settings.to_rgb);
  js.Set("cornerTopk", settings.corner_topk);
  js.Set("localMaximumKernel", settings.local_maximum_kernel);
  js.Set("distanceThreshold", settings.distance_threshold);
  js.Set("maxPerImage", settings.max_per_image);
  js.Set("nmsMethod", settings.nms_method);
  js.Set("nmsIouThreshold", settings.nms_iou_threshold);
  js.Set("nmsSigma", settings.nms_sigma);
  js.Set("nmsMinScore", settings.nms_min_score);
  return js;
}

Napi::Object map_to_js(Napi::Env env, const Map& map) {
  Napi::Object js = Napi::Object::New(env);
  Napi::Array shape = Napi::Array::New(env, 3);
  for (uint32_t i = 0; i < 3; ++i) shape.Set(i, static_cast<double>(map.shape[i]));
  js.Set("shape", shape);
  js.Set("values", floats_to_js(env, map.values));
  return js;
}

}  // namespace

LoadOptions load_options_from_js(const Napi::Value& value) {
  const Napi::Object js = object(value, "load options");
  LoadOptions options;
  options.path = text(js, "path");
  options.device = text(js, "device");
  options.precision = text(js, "precision");
  options.threads = integer(js, "threads");
  options.tf32 = boolean(js, "tf32");
  options.deterministic = boolean(js, "deterministic");
  options.cuda_graphs = boolean(js, "cudaGraphs");
  return options;
}

Settings settings_from_js(const Napi::Value& value) {
  const Napi::Object js = object(value, "settings");
  Settings settings;
  settings.mean = triple(js, "mean");
  settings.std = triple(js, "std");
  settings.to_rgb = boolean(js, "toRgb");
  settings.corner_topk = integer(js, "cornerTopk");
  settings.local_maximum_kernel = integer(js, "localMaximumKernel");
  settings.distance_threshold = real(js, "distanceThreshold");
  settings.max_per_image = integer(js, "maxPerImage");
  settings.nms_method = text(js, "nmsMethod");
  settings.nms_iou_threshold = real(js, "nmsIouThreshold");
  settings.nms_sigma = real(js, "nmsSigma");
  settings.nms_min_score = real(js, "nmsMinScore");
  return settings;
}

DetectOptions detect_options_from_js(const Napi::Value& value) {
  const Napi::Object js = object(value, "detect options");
  DetectOptions options;
  options.flip = boolean(js, "flip");
  const std::string numerics = text(js, "numerics");
  if (numerics != "mmdet2" && numerics != "mmdet3") refuse("numerics", "'mmdet2' or 'mmdet3'");
  options.mmdet3 = numerics == "mmdet3";
  options.score_threshold = real(js, "scoreThreshold");
  const Napi::Value ids = js.Get("classIds");
  if (!ids.IsArray()) refuse("classIds", "an array of integers");
  const Napi::Array list = ids.As<Napi::Array>();
  for (uint32_t i = 0; i < list.Length(); ++i) {
    const Napi::Value id = list.Get(i);
    if (!id.IsNumber()) refuse("classIds", "an array of integers");
    options.class_ids.push_back(id.As<Napi::Number>().Int32Value());
  }
  options.timings = boolean(js, "timings");
  options.settings = settings_from_js(js.Get("settings"));
  return options;
}

Picture picture_from_js(const Napi::Value& value) {
  const Napi::Object js = object(value, "picture");
  Picture picture;
  picture.width_px = integer(js, "width");
  picture.height_px = integer(js, "height");
  if (picture.width_px < 1 || picture.height_px < 1 || picture.width_px > kMaxSidePx || picture.height_px > kMaxSidePx) {
    throw Error(ErrorCode::Input, "a picture's sides must be 1 to " + std::to_string(kMaxSidePx) + " pixels, not " +
                                      std::to_string(picture.width_px) + "x" + std::to_string(picture.height_px));
  }
  const Napi::Value data = js.Get("data");
  if (!data.IsTypedArray() || data.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    throw Error(ErrorCode::Input, "a picture's data must be a Uint8Array of packed RGB");
  }
  const Napi::Uint8Array bytes = data.As<Napi::Uint8Array>();
  const size_t needed = size_t{3} * static_cast<size_t>(picture.width_px) * static_cast<size_t>(picture.height_px);
  if (bytes.ByteLength() != needed) {
    throw Error(ErrorCode::Input, "a " + std::to_string(picture.width_px) + "x" + std::to_string(picture.height_px) + " picture of packed RGB has " +
                                      std::to_string(needed) + " bytes, not " + std::to_string(bytes.ByteLength()));
  }
  picture.rgb.assign(bytes.Data(), bytes.Data() + needed);
  return picture;
}

std::vector<Picture> pictures_from_js(const Napi::Value& value) {
  if (!value.IsArray()) throw Error(ErrorCode::Input, "pictures must be an array");
  const Napi::Array list = value.As<Napi::Array>();
  if (list.Length() > kMaxPictures) throw Error(ErrorCode::Input, "a batch holds at most " + std::to_string(kMaxPictures) + " pictures");
  std::vector<Picture> pictures;
  for (uint32_t i = 0; i < list.Length(); ++i) pictures.push_back(picture_from_js(list.Get(i)));
  return pictures;
}

Napi::Object info_to_js(Napi::Env env, const DetectorInfo& info) {
  Napi::Object js = Napi::Object::New(env);
  js.Set("device", info.device);
  js.Set("precision", info.precision);
  js.Set("threads", info.threads);
  js.Set("classes", strings_to_js(env, info.classes));
  js.Set("numClasses", info.num_classes);
  js.Set("numStacks", info.num_stacks);
  js.Set("numParameters", static_cast<double>(info.num_parameters));
  js.Set("framework", info.framework);
  js.Set("settings", settings_to_js(env, info.settings));
  return js;
}

Napi::Object build_info_to_js(Napi::Env env, const BuildInfo& info) {
  Napi::Object js = Napi::Object::New(env);
  js.Set("libtorchVersion", info.libtorch_version);
  js.Set("cuda", info.cuda);
  js.Set("cudaVersion", info.cuda_version);
  Napi::Array devices = Napi::Array::New(env, info.devices.size());
  for (uint32_t i = 0; i < info.devices.size(); ++i) {
    const CudaDevice& device = info.devices[i];
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("name", device.name);
    entry.Set("major", device.major);
    entry.Set("minor", device.minor);
    entry.Set("memoryBytes", static_cast<double>(device.memory_bytes));
    entry.Set("hasCode", device.has_code);
    devices.Set(i, entry);
  }
  js.Set("devices", devices);
  js.Set("cpuFeatures", strings_to_js(env, info.cpu_features));
  js.Set("cores", info.cores);
  return js;
}

Napi::Object heads_to_js(Napi::Env env, const Heads& heads) {
  Napi::Object js = Napi::Object::New(env);
  js.Set("tlHeat", map_to_js(env, heads.tl_heat));
  js.Set("brHeat", map_to_js(env, heads.br_heat));
  js.Set("tlEmb", map_to_js(env, heads.tl_emb));
  js.Set("brEmb", map_to_js(env, heads.br_emb));
  js.Set("tlOff", map_to_js(env, heads.tl_off));
  js.Set("brOff", map_to_js(env, heads.br_off));
  js.Set("paddedWidth", heads.padded_width_px);
  js.Set("paddedHeight", heads.padded_height_px);
  js.Set("left", heads.left_px);
  js.Set("top", heads.top_px);
  return js;
}

std::vector<Candidate> detections_from_js(const Napi::Value& value) {
  const auto require = [](bool holds, const std::string& what) {
    if (!holds) throw Error(ErrorCode::Input, "detections to merge must be " + what);
  };
  require(value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_float32_array, "a Float32Array");
  const Napi::Float32Array values = value.As<Napi::Float32Array>();
  require(values.ElementLength() % kFloatsADetection == 0, "six numbers each: x1, y1, x2, y2, score, class id");
  require(values.ElementLength() <= kMaxDetections * kFloatsADetection, "at most " + std::to_string(kMaxDetections));
  std::vector<Candidate> detections;
  detections.reserve(values.ElementLength() / kFloatsADetection);
  const float* const end = values.Data() + values.ElementLength();
  for (const float* v = values.Data(); v != end; v += kFloatsADetection) {
    require(std::all_of(v, v + kFloatsADetection, [](float number) { return std::isfinite(number); }), "finite numbers");
    require(v[5] >= 0 && v[5] < kMaxClasses && std::trunc(v[5]) == v[5],
            "of classes whose ids are whole numbers below " + std::to_string(kMaxClasses));
    detections.push_back({v[0], v[1], v[2], v[3], v[4], static_cast<int>(v[5])});
  }
  return detections;
}

Napi::Float32Array detections_to_js(Napi::Env env, const std::vector<Candidate>& detections) {
  Napi::Float32Array values = Napi::Float32Array::New(env, detections.size() * kFloatsADetection);
  float* out = values.Data();
  for (const Candidate& c : detections) {
    for (const float value : {c.x1, c.y1, c.x2, c.y2, c.score, static_cast<float>(c.class_id)}) *out++ = value;
  }
  return values;
}

Napi::Object found_to_js(Napi::Env env, const Found& found) {
  Napi::Object js = Napi::Object::New(env);
  Napi::Array detections = Napi::Array::New(env, found.detections.size());
  for (uint32_t i = 0; i < found.detections.size(); ++i) detections.Set(i, detections_to_js(env, found.detections[i]));
  js.Set("detections", detections);
  Napi::Array list = Napi::Array::New(env, found.timings.size());
  for (uint32_t i = 0; i < found.timings.size(); ++i) {
    const StageTimes& times = found.timings[i];
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("begun", times.begun_ms);
    entry.Set("prepare", times.prepare);
    entry.Set("network", times.network);
    entry.Set("corners", times.corners);
    entry.Set("nms", times.nms);
    entry.Set("pictures", times.pictures);
    list.Set(i, entry);
  }
  js.Set("timings", list);
  return js;
}

Napi::Float32Array floats_to_js(Napi::Env env, const std::vector<float>& values) {
  Napi::Float32Array array = Napi::Float32Array::New(env, values.size());
  std::copy(values.begin(), values.end(), array.Data());
  return array;
}

}  // namespace cornernet
