// The JavaScript class around one calibration: lib/native.ts's NativeQuantizer.
#include <memory>
#include <utility>

#include "addon/wrap.h"
#include "quantize/quantizer.h"
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
namespace {

using namespace quantization;

/// What the channel's thread works on.
struct QuantizerState {
  std::unique_ptr<Quantizer> quantizer;

  void free() { quantizer.reset(); }
  Quantizer& begun() {
    if (!quantizer) throw Error(ErrorCode::Closed, "the calibration is closed or was never begun");
    return *quantizer;
  }
};

class QuantizerWrap : public Wrap<QuantizerWrap, QuantizerState> {
 public:
  static Napi::Function define(Napi::Env env, Channels* channels) {
    return Wrap::define(env, "Quantizer",
                        {InstanceMethod<&QuantizerWrap::begin>("begin"), InstanceMethod<&QuantizerWrap::observe>("observe"),
                         InstanceMethod<&QuantizerWrap::try_next>("tryNext"), InstanceMethod<&QuantizerWrap::write>("write")},
                        channels);
  }
  explicit QuantizerWrap(const Napi::CallbackInfo& info) : Wrap(info, "cornernet quantizer") {}

 private:
  Napi::Value begin(const Napi::CallbackInfo& info) {
    return first_call(info, [&] {
      return [options = from_js<QuantizerOptions>(info[0], "quantize options")](QuantizerState& state) {
        state.quantizer.reset();
        state.quantizer = std::make_unique<Quantizer>(options);
      };
    });
  }

  Napi::Value observe(const Napi::CallbackInfo& info) {
    return call(info, [&] {
      return [picture = std::make_shared<Picture>(picture_from_js(info[1]))](QuantizerState& state) { state.begun().observe(*picture); };
    });
  }

  Napi::Value try_next(const Napi::CallbackInfo& info) {
    return call(info, [] { return [](QuantizerState& state) { return state.begun().try_next(); }; });
  }

  Napi::Value write(const Napi::CallbackInfo& info) {
    return call(info, [&] { return [path = from_js<std::string>(info[1], "path")](QuantizerState& state) { return state.begun().write(path); }; });
  }
};

}  // namespace

Napi::Function define_quantizer(Napi::Env env, Channels* channels) { return QuantizerWrap::define(env, channels); }

}  // namespace cornernet
