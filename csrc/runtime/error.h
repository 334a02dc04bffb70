// The one error type of the core: a stable code and a sentence that says what and where.
#pragma once
#include <stdexcept>
#include <string>

namespace cornernet {

enum class ErrorCode { Option, Input, Write, Checkpoint, Device, OutOfMemory, Closed, Peer, Internal };

/// The code as users see it (lib/errors.ts).
constexpr const char* code_name(ErrorCode code) {
  constexpr const char* kNames[] = {"ERR_OPTION",        "ERR_INPUT",  "ERR_WRITE", "ERR_CHECKPOINT", "ERR_DEVICE",
                                    "ERR_OUT_OF_MEMORY", "ERR_CLOSED", "ERR_PEER",  "ERR_INTERNAL"};
  return kNames[static_cast<int>(code)];
}

class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& sentence) : std::runtime_error(sentence), code_(code) {}
  ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

/// Throws the sentence unless it holds.
inline void require(bool holds, ErrorCode code, const char* sentence) {
  if (!holds) throw Error(code, sentence);
}

[[noreturn]] inline void refuse_checkpoint(const std::string& sentence) { throw Error(ErrorCode::Checkpoint, sentence); }

/// Why nothing can be done on a GPU where the addon was built without nvcc or for a CPU build of LibTorch.
constexpr const char* kNoCudaSide = "this build has no CUDA side";

/// What is given to an operator, whose errors begin with its name.
struct InputOf {
  const char* name;

  void require(bool holds, const char* sentence) const {
    if (!holds) throw Error(ErrorCode::Input, std::string(name) + ": " + sentence);
  }
};

}  // namespace cornernet
