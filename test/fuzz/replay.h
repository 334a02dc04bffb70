// Feeds a fuzz target the inputs that lie in the repository: those that once broke it and the corpus that reaches most of it.
#pragma once
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "../native/test.h"
#include "fuzz.h"

namespace cornernet::fuzz {

template <typename Target>
void replay(const std::string& name, Target target) {
  size_t inputs = 0;
  for (const char* kind : {"found", "corpus"}) {
    const auto folder = std::filesystem::path(CORNERNET_FUZZ) / kind / name;
    if (!std::filesystem::exists(folder)) continue;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      std::ifstream file(entry.path(), std::ios::binary);
      const std::vector<uint8_t> bytes(std::istreambuf_iterator<char>(file), {});
      try {
        check_input(target, bytes);
      } catch (const std::exception& error) {
        testing::check(false, entry.path().string(), ": ", error.what());
      }
      ++inputs;
    }
  }
  testing::check(inputs > 0, "no inputs are kept for ", name);
}

}  // namespace cornernet::fuzz
