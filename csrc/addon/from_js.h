// Properties of a JavaScript object as plain values; one of the wrong type throws Error(Option) that names it.
#pragma once
#include <napi.h>

#include <cmath>
#include <limits>
#include <string>

#include "runtime/error.h"

namespace cornernet {

[[noreturn]] inline void refuse(const std::string& name, const char* expected) { throw Error(ErrorCode::Option, name + " must be " + expected); }

inline Napi::Object object(const Napi::Value& value, const std::string& name) {
  if (!value.IsObject()) refuse(name, "an object");
  return value.As<Napi::Object>();
}

inline double number(const Napi::Object& from, const char* name) {
  const Napi::Value value = from.Get(name);
  if (!value.IsNumber()) refuse(name, "a number");
  return value.As<Napi::Number>().DoubleValue();
}

inline float real(const Napi::Object& from, const char* name) {
  const double value = number(from, name);
  if (!std::isfinite(value)) refuse(name, "a finite number");
  return static_cast<float>(value);
}

inline int integer(const Napi::Object& from, const char* name) {
  const double value = number(from, name);
  if (!(std::trunc(value) == value) || std::abs(value) > std::numeric_limits<int>::max()) refuse(name, "an integer");
  return static_cast<int>(value);
}

inline bool boolean(const Napi::Object& from, const char* name) {
  const Napi::Value value = from.Get(name);
  if (!value.IsBoolean()) refuse(name, "true or false");
  return value.As<Napi::Boolean>();
}

inline std::string text(const Napi::Object& from, const char* name) {
  const Napi::Value value = from.Get(name);
  if (!value.IsString()) refuse(name, "a string");
  return value.As<Napi::String>();
}

}  // namespace cornernet
