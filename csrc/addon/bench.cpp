#include "addon/bench.h"

#include <memory>
#include <string>
#include <utility>

#include "addon/from_js.h"
#include "addon/js_error.h"
#include "bench/bench.h"
#include "engine/detector.h"
#include "runtime/error.h"

namespace cornernet {
namespace {

bench::Setting setting_from_js(const Napi::Value& value) {
  const Napi::Object js = object(value, "bench setting");
  bench::Setting setting;
  setting.device = text(js, "device");
  setting.precision = text(js, "precision");
  setting.threads = integer(js, "threads");
  setting.seconds = real(js, "seconds");
  return setting;
}

Work work_from_js(const Napi::Value& value) {
  const Napi::Object js = object(value, "work");
  Work work;
  work.op = text(js, "op");
  work.n = integer(js, "n");
  work.in_channels = integer(js, "inChannels");
  work.out_channels = integer(js, "outChannels");
  work.height = integer(js, "height");
  work.width = integer(js, "width");
  work.kernel = integer(js, "kernel");
  work.stride = integer(js, "stride");
  work.relu = boolean(js, "relu");
  work.residual = boolean(js, "residual");
  work.flops = number(js, "flops");
  work.bytes = number(js, "bytes");
  return work;
}

Napi::Float64Array doubles_to_js(Napi::Env env, const std::vector<double>& values) {
  Napi::Float64Array array = Napi::Float64Array::New(env, values.size());
  std::copy(values.begin(), values.end(), array.Data());
  return array;
}

Napi::Object report_to_js(Napi::Env env, const bench::Report& report) {
  Napi::Object js = Napi::Object::New(env);
  Napi::Array candidates = Napi::Array::New(env, report.candidates.size());
  for (uint32_t i = 0; i < report.candidates.size(); ++i) {
    const bench::Candidate& candidate = report.candidates[i];
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("name", candidate.name);
    entry.Set("backToBack", doubles_to_js(env, candidate.back_to_back));
    entry.Set("cold", doubles_to_js(env, candidate.cold));
    candidates.Set(i, entry);
  }
  js.Set("candidates", candidates);
  js.Set("coldBytes", static_cast<double>(report.cold_bytes));
  js.Set("largestError", report.largest_error);
  return js;
}

}  // namespace

Napi::Array work_to_js(Napi::Env env, const std::vector<Work>& work) {
  Napi::Array list = Napi::Array::New(env, work.size());
  for (uint32_t i = 0; i < work.size(); ++i) {
    const Work& one = work[i];
    Napi::Object js = Napi::Object::New(env);
    js.Set("op", one.op);
    const auto set = [&](const char* name, int64_t value) { js.Set(name, static_cast<double>(value)); };
    set("n", one.n);
    set("inChannels", one.in_channels);
    set("outChannels", one.out_channels);
    set("height", one.height);
    set("width", one.width);
    set("kernel", one.kernel);
    set("stride", one.stride);
    js.Set("relu", one.relu);
    js.Set("residual", one.residual);
    js.Set("flops", one.flops);
    js.Set("bytes", one.bytes);
    list.Set(i, js);
  }
  return list;
}

Napi::Value network_work(const Napi::CallbackInfo& info) {
  try {
    const Napi::Object js = object(info[0], "network work options");
    return work_to_js(info.Env(), hourglass104_work(integer(js, "width"), integer(js, "height"), integer(js, "views"), text(js, "precision")));
  } catch (...) {
    throw to_js_error(info.Env(), std::current_exception());
  }
}

Napi::Value bench_operator(const Napi::CallbackInfo& info, Channel& channel) {
  try {
    return channel.submit(info.This().As<Napi::Object>(), 0, [work = work_from_js(info[0]), setting = setting_from_js(info[1])]() -> Channel::Result {
      auto report = std::make_shared<bench::Report>(bench::bench_operator(work, setting));
      return [report](Napi::Env env) -> Napi::Value { return report_to_js(env, *report); };
    });
  } catch (...) {
    return rejected(info.Env(), std::current_exception());
  }
}

Napi::Value bench_peak(const Napi::CallbackInfo& info, Channel& channel) {
  try {
    const std::string kind = info[0].IsString() ? info[0].As<Napi::String>().Utf8Value() : "";
    if (kind != "matmul" && kind != "conv" && kind != "copy") throw Error(ErrorCode::Option, "a peak is 'matmul', 'conv' or 'copy'");
    return channel.submit(info.This().As<Napi::Object>(), 0, [kind, setting = setting_from_js(info[1])]() -> Channel::Result {
      const bench::Peak peak = kind == "copy" ? bench::copy_peak(setting) : kind == "conv" ? bench::conv_peak(setting) : bench::matmul_peak(setting);
      return [peak](Napi::Env env) -> Napi::Value {
        Napi::Object js = Napi::Object::New(env);
        js.Set("rates", doubles_to_js(env, peak.rates));
        js.Set("size", static_cast<double>(peak.size));
        return js;
      };
    });
  } catch (...) {
    return rejected(info.Env(), std::current_exception());
  }
}

}  // namespace cornernet
