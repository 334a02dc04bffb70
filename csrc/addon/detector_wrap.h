// The JavaScript class around one network on one device: lib/native.ts's NativeDetector.
#pragma once
#include <napi.h>

#include <memory>
#include <mutex>
#include <optional>

#include "addon/channel.h"
#include "engine/detector.h"

namespace cornernet {

class DetectorWrap : public Napi::ObjectWrap<DetectorWrap> {
 public:
  /// `channels` outlives the class: both are the environment's.
  static Napi::Function define(Napi::Env env, Channels* channels);
  explicit DetectorWrap(const Napi::CallbackInfo& info);
  void Finalize(Napi::BasicEnv env) override;

 private:
  /// What the channel's thread works on. What JavaScript may read at any time is copied out under the mutex.
  struct State {
    std::unique_ptr<Detector> detector;
    std::mutex mutex;
    DetectorStats stats;
    std::optional<DetectOptions> defaults;  // the checkpoint's, once it is loaded

    Detector& loaded();
    void free();
    void publish();
    /// The defaults, changed by what JavaScript gives.
    DetectOptions options_of(const Napi::Value& changes);
  };

  Napi::Value load(const Napi::CallbackInfo& info);
  Napi::Value detect(const Napi::CallbackInfo& info);
  Napi::Value merge_detections(const Napi::CallbackInfo& info);
  Napi::Value heads(const Napi::CallbackInfo& info);
  Napi::Value work(const Napi::CallbackInfo& info);
  Napi::Value cancel(const Napi::CallbackInfo& info);
  Napi::Value stats(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);
  /// V8 can't see the weights; told of them, it collects a forgotten detector sooner.
  void report_memory(Napi::BasicEnv env, int64_t bytes);

  std::shared_ptr<State> state_ = std::make_shared<State>();
  std::shared_ptr<Channel> channel_;
  int64_t reported_bytes_ = 0;
};

}  // namespace cornernet
