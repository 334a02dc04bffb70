#include "addon/quantizer_wrap.h"

#include <utility>

#include "addon/convert.h"
#include "addon/js_error.h"
#include "runtime/error.h"

namespace cornernet::quantization {

// The members that cross, by the names that lib/native.ts explains; found by their argument's namespace.
void fields(Is<QuantizerOptions> auto& options, auto&& field) {
  each(field, "path", options.path, "threads", options.threads, "wideShare", options.wide_share);
}
void fields(Is<Trial> auto& trial, auto&& field) { each(field, "what", trial.what, "error", trial.error, "chosen", trial.chosen); }
void fields(Is<LayerReport> auto& layer, auto&& field) {
  each(field, "name", layer.name, "op", layer.op, "int8", layer.int8, "scale", layer.scale, "rounding", layer.rounding, "error", layer.error, "share",
       layer.share);
}
void fields(Is<HeadError> auto& head, auto&& field) { each(field, "name", head.name, "error", head.error); }
void fields(Is<QuantizeReport> auto& report, auto&& field) {
  each(field, "pictures", report.pictures, "probes", report.probes, "trials", report.trials, "layers", report.layers, "heads", report.heads,
       "int8Share", report.int8_share);
}

}  // namespace cornernet::quantization

namespace cornernet {

using namespace quantization;

quantization::Quantizer& QuantizerWrap::State::begun() {
  if (!quantizer) throw Error(ErrorCode::Closed, "the calibration is closed or was never begun");
  return *quantizer;
}

void QuantizerWrap::State::free() { quantizer.reset(); }

Napi::Function QuantizerWrap::define(Napi::Env env, Channels* channels) {
  return DefineClass(env, "Quantizer",
                     {InstanceMethod<&QuantizerWrap::begin>("begin"), InstanceMethod<&QuantizerWrap::observe>("observe"),
                      InstanceMethod<&QuantizerWrap::try_next>("tryNext"), InstanceMethod<&QuantizerWrap::write>("write"),
                      InstanceMethod<&QuantizerWrap::cancel>("cancel"), InstanceMethod<&QuantizerWrap::close>("close")},
                     channels);
}

QuantizerWrap::QuantizerWrap(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<QuantizerWrap>(info), channel_(Channels::open_for(info, "cornernet quantizer")) {}

void QuantizerWrap::Finalize(Napi::BasicEnv) { channel_->abandon(state_); }

Napi::Value QuantizerWrap::begin(const Napi::CallbackInfo& info) {
  return promised(info, [&] {
    return channel_->submit(info.This(), kFirstCall,
                            [state = state_, options = from_js<QuantizerOptions>(info[0], "quantize options")]() -> Channel::Result {
                              state->quantizer.reset();
                              state->quantizer = std::make_unique<Quantizer>(options);
                              return [](Napi::Env env) { return env.Undefined(); };
                            });
  });
}

Napi::Value QuantizerWrap::observe(const Napi::CallbackInfo& info) {
  return promised(info, [&] {
    auto picture = std::make_shared<Picture>(picture_from_js(info[1]));
    return channel_->submit(info.This(), call_id(info), [state = state_, picture = std::move(picture)]() -> Channel::Result {
      state->begun().observe(*picture);
      return undefined;
    });
  });
}

Napi::Value QuantizerWrap::try_next(const Napi::CallbackInfo& info) {
  return promised(info, [&] {
    return channel_->submit(info.This(), call_id(info), [state = state_]() -> Channel::Result {
      const auto trial = state->begun().try_next();
      if (trial) return result_of(*trial);
      return undefined;
    });
  });
}

Napi::Value QuantizerWrap::write(const Napi::CallbackInfo& info) {
  return promised(info, [&] {
    return channel_->submit(info.This(), call_id(info),
                            [state = state_, path = from_js<std::string>(info[1], "path")] { return result_of(state->begun().write(path)); });
  });
}

Napi::Value QuantizerWrap::cancel(const Napi::CallbackInfo& info) { return channel_->cancel(info); }

Napi::Value QuantizerWrap::close(const Napi::CallbackInfo& info) { return channel_->close(info, state_); }

}  // namespace cornernet
