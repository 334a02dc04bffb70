#include "runtime/error.h"

#include "test.h"

using namespace cornernet;
using cornernet::testing::check;

static const cornernet::testing::Registration codes("runtime: an error carries its code's public name and its sentence", [] {
  const Error error(ErrorCode::Checkpoint, "a sentence");
  check(std::string(code_name(error.code())) == "ERR_CHECKPOINT", "got ", code_name(error.code()));
  check(std::string(error.what()) == "a sentence", "got ", error.what());
});
