// The addon's exports, and what it keeps for each environment that loads it (worker threads load it many times).
#include <napi.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "addon/channel.h"
#include "addon/convert.h"
#include "addon/js_error.h"
#include "addon/wrap.h"
#include "bench/bench.h"
#include "engine/detector.h"

namespace cornernet {

/// The boundary's number, which lib/native.ts expects: raised with every change that an addon built before can't serve.
constexpr int kBoundary = 15;

class Addon : public Napi::Addon<Addon> {
 public:
  Addon(Napi::Env env, Napi::Object exports) : channels_(env) {
    DefineAddon(exports, {InstanceValue("boundary", Napi::Number::New(env, kBoundary)), InstanceValue("Detector", define_detector(env, &channels_)),
                          InstanceValue("Trainer", define_trainer(env, &channels_)), InstanceValue("Quantizer", define_quantizer(env, &channels_)),
                          InstanceMethod("buildInfo", &Addon::build_info), InstanceMethod("gpuInfo", &Addon::gpu_info),
                          InstanceMethod("cornerPool", &Addon::corner_pool), InstanceMethod("networkWork", &Addon::network_work),
                          InstanceMethod("benchOperator", &Addon::bench_operator), InstanceMethod("benchPeak", &Addon::bench_peak)});
  }

 private:
  Napi::Value build_info(const Napi::CallbackInfo& info) {
    return answered(info, [&] { return to_js(info.Env(), cornernet::build_info()); });
  }

  Napi::Value gpu_info(const Napi::CallbackInfo& info) {
    return answered(info, [&] { return to_js(info.Env(), cornernet::gpu_info()); });
  }

  /// cornerPool(data, shape, direction, device)
  Napi::Value corner_pool(const Napi::CallbackInfo& info) {
    return promised(info, [&] {
      auto data = std::make_shared<std::vector<float>>(floats_from_js(info[0], "the data"));
      const auto shape = from_js<std::vector<int64_t>>(info[1], "the shape");
      const auto direction = from_js<std::string>(info[2], "the direction"), device = from_js<std::string>(info[3], "the device");
      return submit(info, [=] { return result_of(corner_pool_f32(*data, shape, direction, device)); });
    });
  }

  Napi::Value network_work(const Napi::CallbackInfo& info) {
    return answered(info, [&] {
      const auto shape = from_js<ForwardShape>(info[0], "the options");
      return to_js(info.Env(), hourglass104_work(shape, from_js<std::string>(info[0].As<Napi::Object>().Get("precision"), "precision")));
    });
  }

  Napi::Value bench_operator(const Napi::CallbackInfo& info) {
    return promised(info, [&] {
      const auto work = from_js<Work>(info[0], "work");
      const auto setting = from_js<bench::Setting>(info[1], "the setting");
      return submit(info, [=] { return result_of(bench::bench_operator(work, setting)); });
    });
  }

  Napi::Value bench_peak(const Napi::CallbackInfo& info) {
    return promised(info, [&] {
      const auto kind = from_js<std::string>(info[0], "the peak");
      const auto setting = from_js<bench::Setting>(info[1], "the setting");
      return submit(info, [=] { return result_of(bench::measure_peak(kind, setting)); });
    });
  }

  /// On the environment's own thread for operators called by themselves.
  Napi::Value submit(const Napi::CallbackInfo& info, std::function<Channel::Result()> work) {
    if (!channel_) channel_ = channels_.open(info.Env(), "cornernet operators");
    return channel_->submit(info.This(), 0, std::move(work));
  }

  Channels channels_;
  std::shared_ptr<Channel> channel_;  // opened at the first call
};

}  // namespace cornernet

using cornernet::Addon;
NODE_API_ADDON(Addon)
