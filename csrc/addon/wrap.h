// What JavaScript's classes share: a channel on which their calls run one after the other, and the state that these work on.
#pragma once
#include <napi.h>

#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "addon/channel.h"
#include "addon/convert.h"
#include "addon/js_error.h"

namespace cornernet {

// A class each of lib/native.ts: NativeDetector, NativeTrainer and NativeQuantizer. `channels` outlives them: both are the environment's.
Napi::Function define_detector(Napi::Env env, Channels* channels);
Napi::Function define_trainer(Napi::Env env, Channels* channels);
Napi::Function define_quantizer(Napi::Env env, Channels* channels);

/// `Self` derives from it; `State` has free(), which the channel runs at its end.
template <typename Self, typename State>
class Wrap : public Napi::ObjectWrap<Self> {
 public:
  Wrap(const Napi::CallbackInfo& info, const char* thread) : Napi::ObjectWrap<Self>(info), channel_(Channels::open_for(info, thread)) {}

  void Finalize(Napi::BasicEnv) override {
    try {
      channel_->request_stop([state = state_] { state->free(); });
    } catch (...) {
      // No memory for that: the channel's own end frees the state.
    }
  }

  /// cancel(id): drops that call.
  Napi::Value cancel(const Napi::CallbackInfo& info) {
    return answered(info, [&] {
      if (info[0].IsNumber()) channel_->cancel(info[0].As<Napi::Number>().Int64Value());
      return info.Env().Undefined();
    });
  }

  /// close(): resolves when all has ended. The first call is cancelled: nobody needs what it still comes to.
  Napi::Value close(const Napi::CallbackInfo& info) {
    return promised(info, [&] {
      channel_->cancel(kFirstCall);
      return channel_->close([state = state_] { state->free(); });
    });
  }

 protected:
  /// The class of these methods, cancel and close.
  static Napi::Function define(Napi::Env env, const char* name, std::vector<Napi::ClassPropertyDescriptor<Self>> methods, Channels* channels) {
    methods.push_back(Self::InstanceMethod("cancel", &Self::cancel));
    methods.push_back(Self::InstanceMethod("close", &Self::close));
    return Self::DefineClass(env, name, methods, channels);
  }

  /// A promise of what `prepare` gives, run with the state on the channel's thread: here it reads what it needs of the arguments, and may refuse
  /// them. A call's first argument is its id.
  template <typename Prepare>
  Napi::Value call(const Napi::CallbackInfo& info, Prepare prepare) {
    return promised(info, [&] { return channel_->submit(info.This(), call_id(info), on_state(prepare())); });
  }
  /// Of the call that the others stand on, which has no id.
  template <typename Prepare>
  Napi::Value first_call(const Napi::CallbackInfo& info, Prepare prepare) {
    return promised(info, [&] { return channel_->submit(info.This(), kFirstCall, on_state(prepare())); });
  }
  /// On the channel's second thread.
  template <typename Prepare>
  Napi::Value call_aside(const Napi::CallbackInfo& info, Prepare prepare) {
    return promised(info, [&] { return channel_->submit_aside(info.This(), call_id(info), on_state(prepare())); });
  }

  std::shared_ptr<State> state_ = std::make_shared<State>();
  std::shared_ptr<Channel> channel_;

 private:
  template <typename Work>
  auto on_state(Work work) {
    return [state = state_, work = std::move(work)]() -> Channel::Result {
      using Outcome = std::invoke_result_t<const Work&, State&>;
      if constexpr (std::is_void_v<Outcome>) {
        work(*state);
        return [](Napi::Env env) { return env.Undefined(); };
      } else if constexpr (std::is_same_v<Outcome, Channel::Result>) {
        return work(*state);
      } else {
        return result_of(work(*state));
      }
    };
  }
};

}  // namespace cornernet
