// The native tests as a program of its own, for the sanitizers: without Node around, what leaks or races is ours.
#include <cstdio>
#include <string>
#include <vector>

#include "test.h"

namespace {

using namespace cornernet::testing;

/// Whether the arguments choose the test at this place.
bool is_chosen(const std::vector<std::string>& arguments, const std::string& name, int place) {
  bool chooses_names = false, named = false;
  for (const std::string& argument : arguments) {
    if (argument == "--even" || argument == "--odd") {
      if (place % 2 != (argument == "--odd")) return false;
    } else if (argument.starts_with('-')) {
      if (contains(name, argument.substr(1))) return false;
    } else {
      chooses_names = true;
      named = named || contains(name, argument);
    }
  }
  return named || !chooses_names;
}

}  // namespace

/// main [TEXT ...] [-TEXT ...] [--even | --odd]: the tests whose names contain one of the texts (all when there are none) and none of those behind a
/// minus; with the last every other one of them, so that two processes share the work. Fails when one fails or none ran.
int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  int passed = 0, failed = 0, place = 0;
  for (const NativeTest& test : registry()) {
    if (!is_chosen(arguments, test.name, place++)) continue;
    std::fprintf(stderr, "%s\n", test.name.c_str());
    try {
      test.body();
      ++passed;
    } catch (const Skipped& skipped) {
      std::fprintf(stderr, "  skipped: %s\n", skipped.what());
    } catch (const std::exception& error) {
      std::fprintf(stderr, "  failed: %s\n", error.what());
      ++failed;
    }
  }
  std::printf("%d native tests passed, %d failed\n", passed, failed);
  return failed > 0 || passed == 0;
}
