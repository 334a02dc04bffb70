#include "addon/detector_wrap.h"

#include <utility>

#include "addon/convert.h"
#include "addon/js_error.h"
#include "runtime/error.h"

namespace cornernet {

Detector& DetectorWrap::State::loaded() {
  if (!detector) throw Error(ErrorCode::Closed, "no checkpoint is loaded");
  return *detector;
}

void DetectorWrap::State::publish() {
  const std::lock_guard lock(mutex);
  stats = detector->stats();
}

DetectOptions DetectorWrap::State::options_of(const Napi::Value& changes) {
  std::unique_lock lock(mutex);
  if (!defaults) throw Error(ErrorCode::Closed, "no checkpoint is loaded");
  DetectOptions options = *defaults;
  lock.unlock();
  return from_js(changes, "detect options", std::move(options));
}

void DetectorWrap::State::free() {
  detector.reset();
  const std::lock_guard lock(mutex);
  stats.weights_bytes = 0;
}

Napi::Function DetectorWrap::define(Napi::Env env, Channels* channels) {
  return DefineClass(
      env, "Detector",
      {InstanceMethod<&DetectorWrap::load>("load"), InstanceMethod<&DetectorWrap::detect>("detect"), InstanceMethod<&DetectorWrap::heads>("heads"),
       InstanceMethod<&DetectorWrap::merge_detections>("mergeDetections"), InstanceMethod<&DetectorWrap::work>("work"),
       InstanceMethod<&DetectorWrap::cancel>("cancel"), InstanceMethod<&DetectorWrap::stats>("stats"), InstanceMethod<&DetectorWrap::close>("close")},
      channels);
}

DetectorWrap::DetectorWrap(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<DetectorWrap>(info), channel_(Channels::open_for(info, "cornernet detector")) {}

void DetectorWrap::Finalize(Napi::BasicEnv env) {
  report_memory(env, 0);
  channel_->abandon(state_);
}

void DetectorWrap::report_memory(Napi::BasicEnv env, int64_t bytes) {
  Napi::MemoryManagement::AdjustExternalMemory(env, bytes - reported_bytes_);
  reported_bytes_ = bytes;
}

Napi::Value DetectorWrap::load(const Napi::CallbackInfo& info) {
  return promised(info, [&] {
    const auto options = from_js<LoadOptions>(info[0], "load options");
    return channel_->submit(info.This(), kFirstCall, [this, state = state_, options]() -> Channel::Result {
      state->detector = std::make_unique<Detector>(options);
      state->publish();
      {
        const std::lock_guard lock(state->mutex);
        state->defaults = state->detector->defaults();
      }
      // Alive until the call is settled: the channel holds the JavaScript object.
      return [this, info = state->detector->info(), bytes = state->stats.weights_bytes](Napi::Env env) -> Napi::Value {
        report_memory(env, bytes);
        return to_js(env, info);
      };
    });
  });
}

Napi::Value DetectorWrap::detect(const Napi::CallbackInfo& info) {
  return promised(info, [&] {
    auto pictures = std::make_shared<std::vector<Picture>>(pictures_from_js(info[1]));
    const DetectOptions options = state_->options_of(info[2]);
    return channel_->submit_in_two(info.This(), call_id(info),
                                   [state = state_, pictures = std::move(pictures), options]() -> std::function<Channel::Result()> {
                                     auto finish = state->loaded().start(*pictures, options);
                                     state->publish();
                                     return [finish = std::move(finish)] { return result_of(finish()); };
                                   });
  });
}

Napi::Value DetectorWrap::merge_detections(const Napi::CallbackInfo& info) {
  return promised(info, [&] {
    auto detections = std::make_shared<std::vector<Candidate>>(detections_from_js(info[1]));
    const DetectOptions options = state_->options_of(info[2]);
    return channel_->submit_aside(info.This(), call_id(info), [detections = std::move(detections), options] {
      return result_of(cornernet::merge_detections(std::move(*detections), options));
    });
  });
}

Napi::Value DetectorWrap::heads(const Napi::CallbackInfo& info) {
  return promised(info, [&] {
    auto picture = std::make_shared<Picture>(picture_from_js(info[1]));
    const DetectOptions options = state_->options_of(info[2]);
    return channel_->submit(info.This(), call_id(info), [state = state_, picture = std::move(picture), options] {
      auto heads = state->loaded().heads(*picture, options);
      state->publish();
      return result_of(std::move(heads));
    });
  });
}

Napi::Value DetectorWrap::work(const Napi::CallbackInfo& info) {
  return promised(info, [&] {
    return channel_->submit(info.This(), call_id(info), [state = state_, shape = from_js<ForwardShape>(info[1], "work options")] {
      return result_of(state->loaded().work(shape));
    });
  });
}

Napi::Value DetectorWrap::cancel(const Napi::CallbackInfo& info) { return channel_->cancel(info); }

Napi::Value DetectorWrap::stats(const Napi::CallbackInfo& info) {
  return answered(info, [&] {
    const std::lock_guard lock(state_->mutex);
    return to_js(info.Env(), state_->stats);
  });
}

Napi::Value DetectorWrap::close(const Napi::CallbackInfo& info) {
  report_memory(info.Env(), 0);
  return channel_->close(info, state_);
}

}  // namespace cornernet
