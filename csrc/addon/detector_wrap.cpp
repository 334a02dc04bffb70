// The JavaScript class around one network on one device: lib/native.ts's NativeDetector.
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "addon/wrap.h"
#include "engine/detector.h"
#include "runtime/error.h"

namespace cornernet {
namespace {

/// What the channel's threads work on. What JavaScript may read at any time is copied out under the mutex.
struct DetectorState {
  std::unique_ptr<Detector> detector;
  std::mutex mutex;
  DetectorStats stats;
  std::optional<DetectOptions> defaults;  // the checkpoint's, once it is loaded

  Detector& loaded() {
    if (!detector) throw Error(ErrorCode::Closed, "no checkpoint is loaded");
    return *detector;
  }

  void load(const LoadOptions& options) {
    detector = std::make_unique<Detector>(options);
    publish();
    const std::lock_guard lock(mutex);
    defaults = detector->defaults();
  }

  void publish() {
    const std::lock_guard lock(mutex);
    stats = detector->stats();
  }

  /// The defaults, changed by what JavaScript gives.
  DetectOptions options_of(const Napi::Value& changes) {
    std::unique_lock lock(mutex);
    if (!defaults) throw Error(ErrorCode::Closed, "no checkpoint is loaded");
    DetectOptions options = *defaults;
    lock.unlock();
    return from_js(changes, "detect options", std::move(options));
  }

  void free() {
    detector.reset();
    const std::lock_guard lock(mutex);
    stats.weights_bytes = 0;
  }
};

class DetectorWrap : public Wrap<DetectorWrap, DetectorState> {
 public:
  static Napi::Function define(Napi::Env env, Channels* channels) {
    return Wrap::define(env, "Detector",
                        {InstanceMethod<&DetectorWrap::load>("load"), InstanceMethod<&DetectorWrap::detect>("detect"),
                         InstanceMethod<&DetectorWrap::heads>("heads"), InstanceMethod<&DetectorWrap::merge_detections>("mergeDetections"),
                         InstanceMethod<&DetectorWrap::work>("work"), InstanceMethod<&DetectorWrap::stats>("stats")},
                        channels);
  }
  explicit DetectorWrap(const Napi::CallbackInfo& info) : Wrap(info, "cornernet detector") {}

  void Finalize(Napi::BasicEnv env) override {
    report_memory(env, 0);
    Wrap::Finalize(env);
  }

  Napi::Value close(const Napi::CallbackInfo& info) {
    report_memory(info.Env(), 0);
    return Wrap::close(info);
  }

 private:
  Napi::Value load(const Napi::CallbackInfo& info) {
    return first_call(info, [&] {
      return [this, options = from_js<LoadOptions>(info[0], "load options")](DetectorState& state) -> Channel::Result {
        state.load(options);
        // Alive until the call is settled: the channel holds the JavaScript object.
        return [this, info = state.detector->info(), bytes = state.stats.weights_bytes](Napi::Env env) -> Napi::Value {
          report_memory(env, bytes);
          return to_js(env, info);
        };
      };
    });
  }

  Napi::Value detect(const Napi::CallbackInfo& info) {
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

  Napi::Value heads(const Napi::CallbackInfo& info) {
    return call(info, [&] {
      return [picture = std::make_shared<Picture>(picture_from_js(info[1])), options = state_->options_of(info[2])](DetectorState& state) {
        auto heads = state.loaded().heads(*picture, options);
        state.publish();
        return heads;
      };
    });
  }

  Napi::Value merge_detections(const Napi::CallbackInfo& info) {
    return call_aside(info, [&] {
      auto detections = std::make_shared<std::vector<Candidate>>(detections_from_js(info[1]));
      return [detections = std::move(detections), options = state_->options_of(info[2])](DetectorState&) {
        return cornernet::merge_detections(std::move(*detections), options);
      };
    });
  }

  Napi::Value work(const Napi::CallbackInfo& info) {
    return call(
        info, [&] { return [shape = from_js<ForwardShape>(info[1], "work options")](DetectorState& state) { return state.loaded().work(shape); }; });
  }

  Napi::Value stats(const Napi::CallbackInfo& info) {
    return answered(info, [&] {
      const std::lock_guard lock(state_->mutex);
      return to_js(info.Env(), state_->stats);
    });
  }

  /// V8 can't see the weights; told of them, it collects a forgotten detector sooner.
  void report_memory(Napi::BasicEnv env, int64_t bytes) {
    Napi::MemoryManagement::AdjustExternalMemory(env, bytes - reported_bytes_);
    reported_bytes_ = bytes;
  }

  int64_t reported_bytes_ = 0;
};

}  // namespace

Napi::Function define_detector(Napi::Env env, Channels* channels) { return DetectorWrap::define(env, channels); }

}  // namespace cornernet
