// The one error type of the core: a stable code and a sentence that says what and where.
#pragma once
#include <stdexcept>
#include <string>

namespace cornernet {

enum class ErrorCode { Option, Input, TooLarge, Checkpoint, LibTorch, Device, OutOfMemory, Closed, Internal };

/// The code as users see it, e.g. "ERR_CHECKPOINT".
const char* code_name(ErrorCode code);

class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& sentence) : std::runtime_error(sentence), code_(code) {}
  ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

}  // namespace cornernet
