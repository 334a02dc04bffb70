#include "addon/js_error.h"

#include <new>
#include <string>

#include "runtime/error.h"

namespace cornernet {
namespace {

Napi::Error coded(Napi::Env env, ErrorCode code, const std::string& sentence) {
  Napi::Error error = Napi::Error::New(env, sentence);
  error.Set("code", Napi::String::New(env, code_name(code)));
  return error;
}

}  // namespace

Napi::Error to_js_error(Napi::Env env, const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const Error& error) {
    return coded(env, error.code(), error.what());
  } catch (const std::bad_alloc&) {
    return coded(env, ErrorCode::OutOfMemory, "the process could not get the memory that this call needs");
  } catch (const std::exception& error) {
    return coded(env, ErrorCode::Internal, error.what());
  } catch (...) {
    return coded(env, ErrorCode::Internal, "an unknown failure in the addon");
  }
}

Napi::Promise rejected(Napi::Env env, const std::exception_ptr& failure) {
  const auto deferred = Napi::Promise::Deferred::New(env);
  deferred.Reject(to_js_error(env, failure).Value());
  return deferred.Promise();
}

}  // namespace cornernet
