// What the fuzz targets share: the rule that every input keeps, and the ways in: libFuzzer, and the native tests, which replay what was found and
// kept.
#pragma once
#include <algorithm>
#include <cstdint>
#include <span>
#include <string>

#include "runtime/error.h"

namespace cornernet::fuzz {

using Input = std::span<const uint8_t>;

/// What `target` makes of an input is a value or a refusal of the file; everything else that it throws is a fault.
template <typename Target>
void check_input(Target target, Input input) {
  try {
    target(input);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::Checkpoint || error.what()[0] == '\0') throw;
  }
}

inline std::string text_of(Input input) { return {input.begin(), input.end()}; }

}  // namespace cornernet::fuzz

#ifdef CORNERNET_FUZZING
#include "memory_bound.h"
/// FUZZ_TARGET(name) { reads `input` }
#define FUZZ_TARGET(name)                                                   \
  static void name(cornernet::fuzz::Input input);                           \
  extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);  \
  extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) { \
    const cornernet::fuzz::MemoryBound bound(size);                         \
    cornernet::fuzz::check_input(name, {data, size});                       \
    return 0;                                                               \
  }                                                                         \
  void name(cornernet::fuzz::Input input)
#else
#include "replay.h"
#define FUZZ_TARGET(name)                                                                                                     \
  static void name(cornernet::fuzz::Input input);                                                                             \
  static const cornernet::testing::Registration replay_##name("fuzz: " #name " reads or refuses what fuzzing found and kept", \
                                                              [] { cornernet::fuzz::replay(#name, name); });                  \
  void name(cornernet::fuzz::Input input)
#endif
