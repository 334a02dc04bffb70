#include "addon/convert.h"

#include <algorithm>

namespace cornernet {
namespace {

constexpr size_t kMaxPictures = 4096, kMaxDetections = 1 << 20;
constexpr int kMaxSidePx = 1 << 20, kMaxClasses = 1 << 16;

void require(bool holds, const std::string& sentence) {
  if (!holds) throw Error(ErrorCode::Input, sentence);
}

bool is_array_of(const Napi::Value& value, napi_typedarray_type type) {
  return value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == type;
}

std::string by(int width_px, int height_px) { return std::to_string(width_px) + "x" + std::to_string(height_px); }

}  // namespace

void read(const Napi::Value& value, const std::string& name, Numerics& out) {
  const std::string word = value.IsString() ? value.As<Napi::String>().Utf8Value() : "";
  if (word != "mmdet2" && word != "mmdet3") refuse(name, "'mmdet2' or 'mmdet3'");
  out = word == "mmdet3" ? Numerics::Mmdet3 : Numerics::Mmdet2;
}

void read(const Napi::Value& value, const std::string& name, SoftNmsMethod& out) {
  const auto method = soft_nms_method(value.IsString() ? value.As<Napi::String>().Utf8Value() : "");
  if (!method) refuse(name, "'gaussian', 'linear' or 'naive'");
  out = *method;
}

std::vector<float> floats_from_js(const Napi::Value& value, const std::string& name) {
  require(is_array_of(value, napi_float32_array), name + " must be a Float32Array");
  const Napi::Float32Array floats = value.As<Napi::Float32Array>();
  return {floats.Data(), floats.Data() + floats.ElementLength()};
}

Picture picture_from_js(const Napi::Value& value) {
  if (!value.IsObject()) refuse("a picture", "an object");
  const Napi::Object js = value.As<Napi::Object>();
  Picture picture{{}, from_js<int>(js.Get("width"), "width"), from_js<int>(js.Get("height"), "height")};
  const std::string size = by(picture.width_px, picture.height_px);
  require(picture.width_px >= 1 && picture.height_px >= 1 && picture.width_px <= kMaxSidePx && picture.height_px <= kMaxSidePx,
          "a picture's sides must be 1 to " + std::to_string(kMaxSidePx) + " pixels, not " + size);
  const Napi::Value data = js.Get("data");
  require(is_array_of(data, napi_uint8_array), "a picture's data must be a Uint8Array of packed RGB");
  const Napi::Uint8Array bytes = data.As<Napi::Uint8Array>();
  const size_t needed = size_t{3} * static_cast<size_t>(picture.width_px) * static_cast<size_t>(picture.height_px);
  require(bytes.ByteLength() == needed,
          "a " + size + " picture of packed RGB has " + std::to_string(needed) + " bytes, not " + std::to_string(bytes.ByteLength()));
  picture.rgb.assign(bytes.Data(), bytes.Data() + needed);
  return picture;
}

std::vector<Picture> pictures_from_js(const Napi::Value& value) {
  require(value.IsArray(), "pictures must be an array");
  const Napi::Array list = value.As<Napi::Array>();
  require(list.Length() <= kMaxPictures, "a batch holds at most " + std::to_string(kMaxPictures) + " pictures");
  std::vector<Picture> pictures;
  for (uint32_t i = 0; i < list.Length(); ++i) pictures.push_back(picture_from_js(list.Get(i)));
  return pictures;
}

std::vector<Candidate> detections_from_js(const Napi::Value& value) {
  const std::vector<float> numbers = floats_from_js(value, "detections");
  require(numbers.size() % 6 == 0, "detections must be six numbers each: x1, y1, x2, y2, score, class id");
  require(numbers.size() <= kMaxDetections * 6, "detections to merge must be at most " + std::to_string(kMaxDetections));
  require(std::ranges::all_of(numbers, [](float number) { return std::isfinite(number); }), "detections must be finite numbers");
  std::vector<Candidate> detections;
  for (auto v = numbers.begin(); v != numbers.end(); v += 6) {
    require(v[5] >= 0 && v[5] < kMaxClasses && std::trunc(v[5]) == v[5], "a detection's class id must be a whole number");
    detections.push_back({v[0], v[1], v[2], v[3], v[4], static_cast<int>(v[5])});
  }
  return detections;
}

}  // namespace cornernet
