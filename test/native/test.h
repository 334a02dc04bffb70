// A registry of native tests that mocha lists and runs one by one (test/native/native.test.ts).
#pragma once
#include <fstream>
#include <functional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "runtime/error.h"

namespace cornernet::testing {

struct NativeTest {
  std::string name;
  std::function<void()> body;
};

/// Thrown by skip(); mocha shows the reason and counts the test as pending.
struct Skipped : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline std::vector<NativeTest>& registry() {
  static std::vector<NativeTest> tests;
  return tests;
}

struct Registration {
  Registration(std::string name, std::function<void()> body) { registry().push_back({std::move(name), std::move(body)}); }
};

[[noreturn]] inline void skip(const std::string& reason) { throw Skipped(reason); }

/// Fails the running test with `what` unless `condition` holds.
template <typename... Parts>
void check(bool condition, const Parts&... what) {
  if (condition) return;
  std::ostringstream message;
  (message << ... << what);
  throw std::runtime_error(message.str());
}

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

/// Gives a variable of the whole process another value for as long as it lives: a test that fails leaves nothing behind.
template <typename T>
class Meanwhile {
 public:
  Meanwhile(T& variable, std::type_identity_t<T> value) : variable_(variable), before_(std::exchange(variable, value)) {}
  ~Meanwhile() { variable_ = before_; }
  Meanwhile(const Meanwhile&) = delete;
  Meanwhile& operator=(const Meanwhile&) = delete;

 private:
  T& variable_;
  T before_;
};

/// Bytes that the process's memory peaks at above where it stands.
template <typename Body>
long peak_growth(Body body) {
  const auto peak = [] {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("VmHWM:")) return std::stol(line.substr(6)) * 1024;
    }
    return 0L;
  };
  std::ofstream("/proc/self/clear_refs") << 5;  // the peak starts anew
  const long before = peak();
  body();
  return peak() - before;
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace cornernet::testing
