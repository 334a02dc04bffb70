// C++ failures as JavaScript errors with a `code`.
#pragma once
#include <napi.h>

#include <exception>

namespace cornernet {

/// Never throws C++'s own: whatever it is given becomes an Error with one of the public codes.
Napi::Error to_js_error(Napi::Env env, const std::exception_ptr& failure);

/// A promise rejected with it.
Napi::Promise rejected(Napi::Env env, const std::exception_ptr& failure);

}  // namespace cornernet
