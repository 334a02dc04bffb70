// The addon's exports, and what it keeps for each environment that loads it (worker threads load it many times).
#include <napi.h>

#include <memory>
#include <utility>
#include <vector>

#include "addon/bench.h"
#include "addon/channel.h"
#include "addon/convert.h"
#include "addon/detector_wrap.h"
#include "addon/js_error.h"

namespace cornernet {

class Addon : public Napi::Addon<Addon> {
 public:
  Addon(Napi::Env env, Napi::Object exports) : channels_(env) {
    DefineAddon(exports, {InstanceValue("Detector", DetectorWrap::define(env, &channels_)), InstanceMethod("buildInfo", &Addon::build_info),
                          InstanceMethod("cornerPool", &Addon::corner_pool), InstanceMethod("networkWork", &Addon::network_work),
                          InstanceMethod("benchOperator", &Addon::bench_operator), InstanceMethod("benchPeak", &Addon::bench_peak)});
  }

 private:
  Napi::Value build_info(const Napi::CallbackInfo& info) {
    try {
      return build_info_to_js(info.Env(), cornernet::build_info());
    } catch (...) {
      throw to_js_error(info.Env(), std::current_exception());
    }
  }

  /// cornerPool(data, shape, direction, device)
  Napi::Value corner_pool(const Napi::CallbackInfo& info) {
    if (!info[0].IsTypedArray() || info[0].As<Napi::TypedArray>().TypedArrayType() != napi_float32_array || !info[1].IsArray() ||
        !info[2].IsString() || !info[3].IsString()) {
      throw Napi::TypeError::New(info.Env(), "cornerPool takes a Float32Array, a shape, a direction and a device");
    }
    const Napi::Float32Array data = info[0].As<Napi::Float32Array>();
    const Napi::Array js_shape = info[1].As<Napi::Array>();
    auto values = std::make_shared<std::vector<float>>(data.Data(), data.Data() + data.ElementLength());
    std::vector<int64_t> shape;
    for (uint32_t i = 0; i < js_shape.Length(); ++i) {
      const Napi::Value side = js_shape.Get(i);
      shape.push_back(side.IsNumber() ? side.As<Napi::Number>().Int64Value() : -1);
    }
    const std::string direction = info[2].As<Napi::String>(), device = info[3].As<Napi::String>();
    return channel(info.Env()).submit(info.This().As<Napi::Object>(), 0, [values = std::move(values), shape, direction, device]() -> Channel::Result {
      auto pooled = corner_pool_f32(*values, shape, direction, device);
      return [pooled = std::move(pooled)](Napi::Env env) -> Napi::Value { return floats_to_js(env, pooled); };
    });
  }

  Napi::Value network_work(const Napi::CallbackInfo& info) { return cornernet::network_work(info); }
  Napi::Value bench_operator(const Napi::CallbackInfo& info) { return cornernet::bench_operator(info, channel(info.Env())); }
  Napi::Value bench_peak(const Napi::CallbackInfo& info) { return cornernet::bench_peak(info, channel(info.Env())); }

  Channel& channel(Napi::Env env) {
    if (!channel_) channel_ = channels_.open(env, "cornernet operators");
    return *channel_;
  }

  Channels channels_;
  std::shared_ptr<Channel> channel_;  // for operators called by themselves; opened at the first call
};

}  // namespace cornernet

using cornernet::Addon;
NODE_API_ADDON(Addon)
