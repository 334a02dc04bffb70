// The JavaScript class around one network that learns: lib/native.ts's NativeTrainer.
#pragma once
#include <napi.h>

#include <memory>
#include <mutex>

#include "addon/channel.h"
#include "train/trainer.h"

namespace cornernet {

class TrainerWrap : public Napi::ObjectWrap<TrainerWrap> {
 public:
  /// `channels` outlives the class: both are the environment's.
  static Napi::Function define(Napi::Env env, Channels* channels);
  explicit TrainerWrap(const Napi::CallbackInfo& info);
  void Finalize(Napi::BasicEnv env) override;

 private:
  /// What the channel's thread works on.
  struct State {
    std::unique_ptr<train::Trainer> trainer;
    train::Trainer& begun();
    void free();
    void join(std::shared_ptr<train::ProcessGroup> group);
    /// Null before join(), and after the end. Also for other threads.
    std::shared_ptr<train::ProcessGroup> group() const;

   private:
    mutable std::mutex mutex_;
    std::shared_ptr<train::ProcessGroup> group_;
  };

  Napi::Value join(const Napi::CallbackInfo& info);
  Napi::Value exchange(const Napi::CallbackInfo& info);
  Napi::Value check(const Napi::CallbackInfo& info);
  Napi::Value leave(const Napi::CallbackInfo& info);
  Napi::Value begin(const Napi::CallbackInfo& info);
  Napi::Value step(const Napi::CallbackInfo& info);
  Napi::Value save(const Napi::CallbackInfo& info);
  Napi::Value cancel(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  std::shared_ptr<State> state_ = std::make_shared<State>();
  std::shared_ptr<Channel> channel_;
};

}  // namespace cornernet
