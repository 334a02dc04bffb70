// A registry of native tests that mocha lists and runs one by one (test/native/native.test.ts).
#pragma once
#include <functional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

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

}  // namespace cornernet::testing
