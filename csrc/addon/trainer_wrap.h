// The JavaScript class around one network that learns: lib/native.ts's NativeTrainer.
#pragma once
#include <napi.h>

#include <map>
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
  /// What the channel's two threads work on; whoever has taken something from here keeps it alive.
  class State {
   public:
    void set_group(std::shared_ptr<train::ProcessGroup> group);
    /// Null before join(), and after the end.
    std::shared_ptr<train::ProcessGroup> group() const;
    void set_trainer(std::shared_ptr<train::Trainer> trainer);
    /// Error(Closed) when there is none.
    std::shared_ptr<train::Trainer> trainer() const;
    void free();
    /// Under the id of the call that prepared it.
    void keep(int64_t id, std::shared_ptr<const train::PreparedBatch> batch);
    std::shared_ptr<const train::PreparedBatch> take(int64_t id);

   private:
    mutable std::mutex mutex_;
    std::shared_ptr<train::ProcessGroup> group_;
    std::shared_ptr<train::Trainer> trainer_;
    std::map<int64_t, std::shared_ptr<const train::PreparedBatch>> prepared_;  // by the trainer
  };

  Napi::Value join(const Napi::CallbackInfo& info);
  Napi::Value exchange(const Napi::CallbackInfo& info);
  Napi::Value check(const Napi::CallbackInfo& info);
  Napi::Value leave(const Napi::CallbackInfo& info);
  Napi::Value begin(const Napi::CallbackInfo& info);
  Napi::Value prepare(const Napi::CallbackInfo& info);
  Napi::Value step(const Napi::CallbackInfo& info);
  Napi::Value save(const Napi::CallbackInfo& info);
  Napi::Value cancel(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  std::shared_ptr<State> state_ = std::make_shared<State>();
  std::shared_ptr<Channel> channel_;
};

}  // namespace cornernet
