// Names of gloo that LibTorch's header of its process group mentions: LibTorch has gloo inside, but not its headers. Only pointers to these types are
// ever held here, and nothing of theirs is made or called: what LibTorch itself made keeps its own layout.
#pragma once
#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace gloo {

class Context {
 public:
  void setTimeout(std::chrono::milliseconds timeout);
};

}  // namespace gloo
