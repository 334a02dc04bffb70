// Expecting coded errors.
#pragma once
#include <string>

#include "runtime/error.h"
#include "test.h"

namespace cornernet::testing {

/// The sentence of the Error that `body` throws; the test fails when it throws none, or one of another code.
template <typename Body>
std::string refused(ErrorCode code, Body body) {
  try {
    body();
  } catch (const Error& error) {
    check(error.code() == code, "got ", code_name(error.code()), ": ", error.what());
    return error.what();
  }
  check(false, "nothing was refused");
  return "";
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace cornernet::testing
