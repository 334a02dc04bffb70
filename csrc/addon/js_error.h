// C++ failures as JavaScript errors with a `code`: nothing else may leave a function that JavaScript calls.
#pragma once
#include <napi.h>

#include <exception>

namespace cornernet {

/// Never throws C++'s own: whatever it is given becomes an Error with one of the public codes.
Napi::Error to_js_error(Napi::Env env, const std::exception_ptr& failure);

/// A promise rejected with it.
Napi::Promise rejected(Napi::Env env, const std::exception_ptr& failure);

/// Runs the body of a function that gives a promise; what it throws about its arguments rejects like every other failure.
template <typename Body>
Napi::Value promised(const Napi::CallbackInfo& info, Body body) {
  try {
    return body();
  } catch (...) {
    return rejected(info.Env(), std::current_exception());
  }
}

/// Runs the body of a function that answers at once or throws.
template <typename Body>
auto answered(const Napi::CallbackInfo& info, Body body) {
  try {
    return body();
  } catch (...) {
    throw to_js_error(info.Env(), std::current_exception());
  }
}

}  // namespace cornernet
