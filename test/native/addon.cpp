// The addon through which mocha lists and runs the native tests.
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <napi.h>

#include <algorithm>

#include "test.h"
#include "training_probe.h"

namespace {

using cornernet::testing::registry;

Napi::Value names(const Napi::CallbackInfo& info) {
  Napi::Array list = Napi::Array::New(info.Env());
  for (const auto& test : registry()) list.Set(list.Length(), Napi::String::New(info.Env(), test.name));
  return list;
}

/// run(name): undefined when it passes, the reason when it is skipped; throws when it fails.
Napi::Value run(const Napi::CallbackInfo& info) {
  const std::string name = info[0].As<Napi::String>();
  const auto found = std::find_if(registry().begin(), registry().end(), [&](const auto& test) { return test.name == name; });
  if (found == registry().end()) throw Napi::Error::New(info.Env(), "no native test is called " + name);
  try {
    found->body();
  } catch (const cornernet::testing::Skipped& skipped) {
    return Napi::String::New(info.Env(), skipped.what());
  } catch (const std::exception& error) {
    throw Napi::Error::New(info.Env(), error.what());
  }
  return info.Env().Undefined();
}

/// Gives the first GPU a kernel that traps, which ends every use of it by this process.
Napi::Value trap(const Napi::CallbackInfo& info) {
  try {
    const at::TensorOptions gpu = at::TensorOptions().device(at::kCUDA, 0);
    at::index_select(at::empty({4, 4}, gpu), 0, at::empty({1}, gpu.dtype(at::kLong)).fill_(1 << 20)).cpu();
  } catch (const std::exception& error) {
    return Napi::String::New(info.Env(), error.what());
  }
  return info.Env().Undefined();
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("names", Napi::Function::New(env, names));
  exports.Set("run", Napi::Function::New(env, run));
  exports.Set("trap", Napi::Function::New(env, trap));
  exports.Set("trainAs", Napi::Function::New(env, cornernet::testing::train_as));
  exports.Set("gaussianRadius", Napi::Function::New(env, cornernet::testing::gaussian_radius_of));
  return exports;
}

}  // namespace

NODE_API_MODULE(cornernet_testing, init)
