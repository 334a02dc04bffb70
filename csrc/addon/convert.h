// Between JavaScript values and plain structs, whose fields are named once for both ways. Nothing that comes in is trusted: every type, length and
// size is checked; what is absent or undefined keeps its default.
#pragma once
#include <napi.h>

#include <cmath>
#include <concepts>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "bench/bench.h"
#include "engine/detector.h"
#include "runtime/error.h"

namespace cornernet {

template <typename T, typename Of>
concept Is = std::same_as<std::remove_const_t<T>, Of>;

/// field(name, member) for each pair of them.
template <typename Field, typename Member, typename... Rest>
void each(Field& field, const char* name, Member& member, Rest&... rest) {
  field(name, member);
  if constexpr (sizeof...(rest) > 0) each(field, rest...);
}

// The members that cross, by the names that lib/native.ts explains.
void fields(Is<LoadOptions> auto& options, auto&& field) {
  each(field, "path", options.path, "device", options.device, "precision", options.precision, "threads", options.threads, "tf32", options.tf32,
       "deterministic", options.deterministic, "cudaGraphs", options.cuda_graphs);
}
void fields(Is<SoftNmsOptions> auto& options, auto&& field) {
  each(field, "method", options.method, "iouThreshold", options.iou_threshold, "sigma", options.sigma, "minScore", options.min_score);
}
void fields(Is<DetectOptions> auto& options, auto&& field) {
  each(field, "flip", options.flip, "numerics", options.numerics, "scoreThreshold", options.score_threshold, "classIds", options.class_ids, "scales",
       options.scales, "timings", options.timings, "inFp32", options.in_fp32, "mean", options.normalisation.mean, "std", options.normalisation.std,
       "toRgb", options.normalisation.to_rgb, "cornerTopk", options.decode.corner_topk, "distanceThreshold", options.decode.distance_threshold,
       "maxPerImage", options.nms.max_per_image, "softNms", options.nms);
}
void fields(Is<ForwardShape> auto& shape, auto&& field) {
  each(field, "width", shape.width_px, "height", shape.height_px, "views", shape.views, "scales", shape.scales);
}
void fields(Is<DetectorInfo> auto& info, auto&& field) {
  each(field, "device", info.device, "precision", info.precision, "threads", info.threads, "classes", info.classes, "numClasses", info.num_classes);
}
void fields(Is<DetectorStats> auto& stats, auto&& field) {
  each(field, "pictures", stats.pictures, "forwards", stats.forwards, "views", stats.views, "weightsBytes", stats.weights_bytes, "warnings",
       stats.warnings);
}
void fields(Is<StageTimes> auto& times, auto&& field) {
  each(field, "begun", times.begun_ms, "prepare", times.prepare, "network", times.network, "corners", times.corners, "nms", times.nms, "pictures",
       times.pictures);
}
void fields(Is<Found> auto& found, auto&& field) {
  each(field, "detections", found.detections, "notFinite", found.not_finite, "timings", found.timings);
}
void fields(Is<Map> auto& map, auto&& field) { each(field, "shape", map.shape, "values", map.values); }
void fields(Is<Heads> auto& heads, auto&& field) {
  each(field, "tlHeat", heads.tl.heat, "brHeat", heads.br.heat, "tlEmb", heads.tl.emb, "brEmb", heads.br.emb, "tlOff", heads.tl.off, "brOff",
       heads.br.off, "paddedWidth", heads.padded_width_px, "paddedHeight", heads.padded_height_px, "left", heads.left_px, "top", heads.top_px);
}
void fields(Is<Work> auto& work, auto&& field) {
  each(field, "op", work.op, "n", work.n, "inChannels", work.in_channels, "outChannels", work.out_channels, "height", work.height, "width",
       work.width, "kernel", work.kernel, "stride", work.stride, "relu", work.relu, "residual", work.residual, "flops", work.flops, "bytes",
       work.bytes, "layer", work.layer, "int8", work.int8);
}
void fields(Is<CudaDevice> auto& device, auto&& field) {
  each(field, "major", device.major, "hasCode", device.has_code, "obstacle", device.obstacle);
}
void fields(Is<BuildInfo> auto& info, auto&& field) {
  each(field, "libtorchVersion", info.libtorch_version, "cuda", info.cuda, "cudaVersion", info.cuda_version, "cpuFeatures", info.cpu_features,
       "cores", info.cores);
}
void fields(Is<GpuInfo> auto& info, auto&& field) { each(field, "devices", info.devices, "cudnnVersion", info.cudnn_version); }
void fields(Is<bench::Setting> auto& setting, auto&& field) {
  each(field, "device", setting.device, "precision", setting.precision, "threads", setting.threads, "seconds", setting.seconds);
}
void fields(Is<bench::Timing> auto& timing, auto&& field) {
  each(field, "name", timing.name, "backToBack", timing.back_to_back, "cold", timing.cold);
}
void fields(Is<bench::Report> auto& report, auto&& field) {
  each(field, "candidates", report.candidates, "coldBytes", report.cold_bytes, "largestError", report.largest_error);
}
void fields(Is<bench::PeakRates> auto& peak, auto&& field) { each(field, "rates", peak.rates, "size", peak.size); }

template <typename T>
concept HasFields = requires(T& value) { fields(value, [](const char*, auto&) {}); };

[[noreturn]] inline void refuse(const std::string& name, const std::string& expected) {
  throw Error(ErrorCode::Option, name + " must be " + expected);
}

// Values that JavaScript has as words.
void read(const Napi::Value& value, const std::string& name, Numerics& out);
void read(const Napi::Value& value, const std::string& name, SoftNmsMethod& out);

/// Throws Error(Option) that names the property.
template <typename T>
void read(const Napi::Value& value, const std::string& name, T& out) {
  if constexpr (std::same_as<T, bool>) {
    if (!value.IsBoolean()) refuse(name, "true or false");
    out = value.As<Napi::Boolean>();
  } else if constexpr (std::is_arithmetic_v<T>) {
    const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : std::nan("");
    if (!std::isfinite(number)) refuse(name, "a finite number");
    constexpr double kMost = sizeof(T) > sizeof(int) ? 0x1p53 : std::numeric_limits<int>::max();
    if (std::integral<T> && (std::trunc(number) != number || std::abs(number) > kMost)) refuse(name, "an integer");
    out = static_cast<T>(number);
  } else if constexpr (std::same_as<T, std::string>) {
    if (!value.IsString()) refuse(name, "a string");
    out = value.As<Napi::String>();
  } else if constexpr (HasFields<T>) {
    if (!value.IsObject()) refuse(name, "an object");
    fields(out, [&](const char* key, auto& member) {
      const Napi::Value item = value.As<Napi::Object>().Get(key);
      if (!item.IsUndefined()) read(item, key, member);
    });
  } else {
    if (!value.IsArray()) refuse(name, "an array");
    const Napi::Array list = value.As<Napi::Array>();
    if constexpr (requires { out.resize(0); }) out.resize(list.Length());
    if (list.Length() != out.size()) refuse(name, "an array of " + std::to_string(out.size()) + " items");
    for (uint32_t i = 0; i < out.size(); ++i) read(list.Get(i), name + "[" + std::to_string(i) + "]", out[i]);
  }
}

template <typename T>
T from_js(const Napi::Value& value, const std::string& name, T out = {}) {
  read(value, name, out);
  return out;
}

/// The id of a call: its first argument.
inline int64_t call_id(const Napi::CallbackInfo& info) { return from_js<int64_t>(info[0], "a call's id"); }

/// Copies. Memory of V8's own: Electron allows no other.
template <typename T>
Napi::Value to_js(Napi::Env env, const T& value) {
  if constexpr (std::same_as<T, bool>) {
    return Napi::Boolean::New(env, value);
  } else if constexpr (std::is_arithmetic_v<T>) {
    return Napi::Number::New(env, static_cast<double>(value));
  } else if constexpr (std::same_as<T, std::string>) {
    return Napi::String::New(env, value);
  } else if constexpr (requires { value.has_value(); }) {
    return value ? to_js(env, *value) : env.Undefined();
  } else if constexpr (HasFields<const T>) {
    Napi::Object object = Napi::Object::New(env);
    fields(value, [&](const char* key, const auto& member) { object.Set(key, to_js(env, member)); });
    return object;
  } else if constexpr (std::same_as<T, std::vector<float>> || std::same_as<T, std::vector<double>>) {
    auto array = Napi::TypedArrayOf<typename T::value_type>::New(env, value.size());
    std::copy(value.begin(), value.end(), array.Data());
    return array;
  } else if constexpr (std::same_as<T, std::vector<Candidate>>) {  // x1, y1, x2, y2, score, class id of each
    Napi::Float32Array array = Napi::Float32Array::New(env, value.size() * 6);
    float* out = array.Data();
    for (const Candidate& c : value) {
      for (const float number : {c.x1, c.y1, c.x2, c.y2, c.score, static_cast<float>(c.class_id)}) *out++ = number;
    }
    return array;
  } else {
    Napi::Array list = Napi::Array::New(env, value.size());
    for (uint32_t i = 0; i < value.size(); ++i) list.Set(i, to_js(env, value[i]));
    return list;
  }
}

/// Makes the JavaScript value of `outcome` later, on the JavaScript thread (Channel::Result).
template <typename T>
std::function<Napi::Value(Napi::Env)> result_of(T outcome) {
  return [held = std::make_shared<T>(std::move(outcome))](Napi::Env env) { return to_js(env, *held); };
}

// Copies of memory; Error(Input) when it is not what it should be.
std::vector<float> floats_from_js(const Napi::Value& value, const std::string& name);
Picture picture_from_js(const Napi::Value& value);
std::vector<Picture> pictures_from_js(const Napi::Value& value);
/// As to_js gives them.
std::vector<Candidate> detections_from_js(const Napi::Value& value);

}  // namespace cornernet
