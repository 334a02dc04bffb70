// The JavaScript class around one calibration: lib/native.ts's NativeQuantizer.
#pragma once
#include <napi.h>

#include <memory>

#include "addon/channel.h"
#include "quantize/quantizer.h"

namespace cornernet {

class QuantizerWrap : public Napi::ObjectWrap<QuantizerWrap> {
 public:
  /// `channels` outlives the class: both are the environment's.
  static Napi::Function define(Napi::Env env, Channels* channels);
  explicit QuantizerWrap(const Napi::CallbackInfo& info);
  void Finalize(Napi::BasicEnv env) override;

 private:
  /// What the channel's thread works on.
  struct State {
    std::unique_ptr<quantization::Quantizer> quantizer;
    void free();
    quantization::Quantizer& begun();
  };

  Napi::Value begin(const Napi::CallbackInfo& info);
  Napi::Value observe(const Napi::CallbackInfo& info);
  Napi::Value try_next(const Napi::CallbackInfo& info);
  Napi::Value write(const Napi::CallbackInfo& info);
  Napi::Value cancel(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  std::shared_ptr<State> state_ = std::make_shared<State>();
  std::shared_ptr<Channel> channel_;
};

}  // namespace cornernet
