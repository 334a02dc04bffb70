// The native tests as a program of its own, for the sanitizers: without Node around, what leaks or races is ours.
#include <cstdio>
#include <string>

#include "test.h"

/// Runs the tests whose names contain one of the arguments; all when there are none, and with `--even` or `--odd` every other one of them: two
/// processes share the work. Fails when one fails or none ran.
int main(int argc, char** argv) {
  using namespace cornernet::testing;
  int passed = 0, failed = 0, place = 0;
  const std::string half = argc == 2 ? argv[1] : "";
  for (const NativeTest& test : registry()) {
    bool wanted = argc == 1 || half == (place++ % 2 == 0 ? "--even" : "--odd");
    for (int i = 1; i < argc; ++i) wanted = wanted || contains(test.name, argv[i]);
    if (!wanted) continue;
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
