// A channel (csrc/addon/channel.h) whose work is to count: each of its two threads has a number that no lock guards.
#include "addon/channel.h"

#include <thread>

#include "runtime/interrupt.h"

namespace {

using cornernet::Channel;
using cornernet::Channels;

struct Counts {
  int64_t first = 0, second = 0;
};

/// Takes `steps` steps, each of which may be interrupted.
Channel::Result count(int64_t& number, int64_t steps) {
  for (int64_t i = 0; i < steps; ++i) {
    cornernet::check_interrupted();
    ++number;
    std::this_thread::yield();
  }
  return [steps](Napi::Env env) -> Napi::Value { return Napi::Number::New(env, static_cast<double>(steps)); };
}

int64_t integer(const Napi::CallbackInfo& info, size_t at) { return info[at].As<Napi::Number>().Int64Value(); }

/// { submit(id, steps), inTwo(id, steps), aside(id, steps): promises of `steps`; cancel(id); close(): a promise of nothing }
Napi::Value open(const Napi::CallbackInfo& opening) {
  const Napi::Env env = opening.Env();
  const std::shared_ptr<Channel> channel = Channels::open_for(opening, "channel");
  const auto counts = std::make_shared<Counts>();
  Napi::Object calls = Napi::Object::New(env);
  const auto add = [&](const char* name, auto call) {
    calls.Set(name, Napi::Function::New(
                        env, [channel, counts, call](const Napi::CallbackInfo& info) -> Napi::Value { return call(*channel, counts, info); }));
  };
  add("submit", [](Channel& channel, const auto& counts, const Napi::CallbackInfo& info) -> Napi::Value {
    return channel.submit(info.This(), integer(info, 0), [counts, steps = integer(info, 1)] { return count(counts->first, steps); });
  });
  add("inTwo", [](Channel& channel, const auto& counts, const Napi::CallbackInfo& info) -> Napi::Value {
    return channel.submit_in_two(info.This(), integer(info, 0), [counts, steps = integer(info, 1)] {
      count(counts->first, steps);
      return std::function<Channel::Result()>([counts, steps] { return count(counts->second, steps); });
    });
  });
  add("aside", [](Channel& channel, const auto& counts, const Napi::CallbackInfo& info) -> Napi::Value {
    return channel.submit_aside(info.This(), integer(info, 0), [counts, steps = integer(info, 1)] { return count(counts->second, steps); });
  });
  add("cancel", [](Channel& channel, const auto&, const Napi::CallbackInfo& info) -> Napi::Value {
    channel.cancel(integer(info, 0));
    return info.Env().Undefined();
  });
  add("close",
      [](Channel& channel, const auto& counts, const Napi::CallbackInfo&) -> Napi::Value { return channel.close([counts] { ++counts->first; }); });
  return calls;
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  auto* channels = new Channels(env);
  env.AddCleanupHook([channels] { delete channels; });
  exports.Set("open", Napi::Function::New(env, open, "open", channels));
  return exports;
}

}  // namespace

NODE_API_MODULE(channel, init)
