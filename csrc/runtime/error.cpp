#include "runtime/error.h"

namespace cornernet {

const char* code_name(ErrorCode code) {
  switch (code) {
    case ErrorCode::Option:
      return "ERR_OPTION";
    case ErrorCode::Input:
      return "ERR_INPUT";
    case ErrorCode::TooLarge:
      return "ERR_TOO_LARGE";
    case ErrorCode::Checkpoint:
      return "ERR_CHECKPOINT";
    case ErrorCode::LibTorch:
      return "ERR_LIBTORCH";
    case ErrorCode::Device:
      return "ERR_DEVICE";
    case ErrorCode::OutOfMemory:
      return "ERR_OUT_OF_MEMORY";
    case ErrorCode::Closed:
      return "ERR_CLOSED";
    case ErrorCode::Internal:
      return "ERR_INTERNAL";
  }
  return "ERR_INTERNAL";
}

}  // namespace cornernet
