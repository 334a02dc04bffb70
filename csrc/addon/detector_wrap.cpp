#include "addon/detector_wrap.h"

#include <utility>

#include "addon/bench.h"
#include "addon/convert.h"
#include "addon/from_js.h"
#include "addon/js_error.h"
#include "runtime/error.h"

namespace cornernet {
namespace {

int64_t call_id(const Napi::CallbackInfo& info) {
  if (!info[0].IsNumber()) throw Error(ErrorCode::Option, "a call's id must be a number");
  return info[0].As<Napi::Number>().Int64Value();
}

/// Runs a method's body; what it throws about its arguments becomes a rejected promise like every other failure.
template <typename Body>
Napi::Value promised(const Napi::CallbackInfo& info, Body body) {
  try {
    return body();
  } catch (...) {
    return rejected(info.Env(), std::current_exception());
  }
}

}  // namespace

Detector& DetectorWrap::State::loaded() {
  if (!detector) throw Error(ErrorCode::Closed, "no checkpoint is loaded");
  return *detector;
}

void DetectorWrap::State::publish() {
  const std::lock_guard lock(mutex);
  stats = detector->stats();
  memory = detector->memory();
}

Napi::Function DetectorWrap::define(Napi::Env env, Channels* channels) {
  return DefineClass(
      env, "Detector",
      {InstanceMethod<&DetectorWrap::load>("load"), InstanceMethod<&DetectorWrap::detect>("detect"), InstanceMethod<&DetectorWrap::heads>("heads"),
       InstanceMethod<&DetectorWrap::merge_detections>("mergeDetections"), InstanceMethod<&DetectorWrap::work>("work"),
       InstanceMethod<&DetectorWrap::cancel>("cancel"), InstanceMethod<&DetectorWrap::stats>("stats"),
       InstanceMethod<&DetectorWrap::memory>("memory"), InstanceMethod<&DetectorWrap::close>("close")},
      channels);
}

DetectorWrap::DetectorWrap(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<DetectorWrap>(info), channel_(static_cast<Channels*>(info.Data())->open(info.Env(), "cornernet detector")) {}

void DetectorWrap::Finalize(Napi::BasicEnv env) {
  report_memory(env, 0);
  channel_->abandon(free_detector());
}

void DetectorWrap::report_memory(Napi::BasicEnv env, int64_t bytes) {
  Napi::MemoryManagement::AdjustExternalMemory(env, bytes - reported_bytes_);
  reported_bytes_ = bytes;
}

std::function<void()> DetectorWrap::free_detector() const {
  return [state = state_] {
    state->detector.reset();
    const std::lock_guard lock(state->mutex);
    state->memory = {};
  };
}

Napi::Value DetectorWrap::load(const Napi::CallbackInfo& info) {
  return promised(info, [&] {
    const LoadOptions options = load_options_from_js(info[0]);
    return channel_->submit(info.This().As<Napi::Object>(), 0, [this, state = state_, options]() -> Channel::Result {
      state->detector = std::make_unique<Detector>(options);
      state->publish();
      // Alive until the call is settled: the channel holds the JavaScript object.
      return [this, info = state->detector->info(), bytes = state->memory.weights_bytes](Napi::Env env) -> Napi::Value {
        report_memory(env, bytes);
        return info_to_js(env, info);
      };
    });
  });
}

Napi::Value DetectorWrap::detect(const Napi::CallbackInfo& info) {
  return promised(info, [&] {
    auto pictures = std::make_shared<std::vector<Picture>>(pictures_from_js(info[1]));
    const DetectOptions options = detect_options_from_js(info[2]);
    return channel_->submit_in_two(info.This().As<Napi::Object>(), call_id(info),
                                   [state = state_, pictures = std::move(pictures), options]() -> std::function<Channel::Result()> {
                                     auto finish = state->loaded().start(*pictures, options);
                                     state->publish();
                                     return [finish = std::move(finish)]() -> Channel::Result {
                                       return [found = finish()](Napi::Env env) -> Napi::Value { return found_to_js(env, found); };
                                     };
                                   });
  });
}

Napi::Value DetectorWrap::merge_detections(const Napi::CallbackInfo& info) {
  return promised(info, [&] {
    auto detections = std::make_shared<std::vector<Candidate>>(detections_from_js(info[1]));
    const DetectOptions options = detect_options_from_js(info[2]);
    return channel_->submit_aside(info.This().As<Napi::Object>(), call_id(info), [detections = std::move(detections), options]() -> Channel::Result {
      return [merged = cornernet::merge_detections(std::move(*detections), options)](Napi::Env env) -> Napi::Value {
        return detections_to_js(env, merged);
      };
    });
  });
}

Napi::Value DetectorWrap::heads(const Napi::CallbackInfo& info) {
  return promised(info, [&] {
    auto picture = std::make_shared<Picture>(picture_from_js(info[1]));
    const Settings settings = settings_from_js(info[2]);
    return channel_->submit(info.This().As<Napi::Object>(), call_id(info),
                            [state = state_, picture = std::move(picture), settings]() -> Channel::Result {
                              auto heads = std::make_shared<Heads>(state->loaded().heads(*picture, settings));
                              state->publish();
                              return [heads](Napi::Env env) -> Napi::Value { return heads_to_js(env, *heads); };
                            });
  });
}

Napi::Value DetectorWrap::work(const Napi::CallbackInfo& info) {
  return promised(info, [&] {
    const Napi::Object js = object(info[1], "work options");
    const int width_px = integer(js, "width"), height_px = integer(js, "height"), views = integer(js, "views");
    return channel_->submit(info.This().As<Napi::Object>(), call_id(info), [state = state_, width_px, height_px, views]() -> Channel::Result {
      const auto work = std::make_shared<std::vector<Work>>(state->loaded().work(width_px, height_px, views));
      return [work](Napi::Env env) -> Napi::Value { return work_to_js(env, *work); };
    });
  });
}

Napi::Value DetectorWrap::cancel(const Napi::CallbackInfo& info) {
  if (info[0].IsNumber()) channel_->cancel(info[0].As<Napi::Number>().Int64Value());
  return info.Env().Undefined();
}

Napi::Value DetectorWrap::stats(const Napi::CallbackInfo& info) {
  const std::lock_guard lock(state_->mutex);
  Napi::Object js = Napi::Object::New(info.Env());
  js.Set("pictures", static_cast<double>(state_->stats.pictures));
  js.Set("forwards", static_cast<double>(state_->stats.forwards));
  js.Set("views", static_cast<double>(state_->stats.views));
  return js;
}

Napi::Value DetectorWrap::memory(const Napi::CallbackInfo& info) {
  const std::lock_guard lock(state_->mutex);
  Napi::Object js = Napi::Object::New(info.Env());
  js.Set("weightsBytes", static_cast<double>(state_->memory.weights_bytes));
  return js;
}

Napi::Value DetectorWrap::close(const Napi::CallbackInfo& info) {
  report_memory(info.Env(), 0);
  return channel_->close(free_detector());
}

}  // namespace cornernet
