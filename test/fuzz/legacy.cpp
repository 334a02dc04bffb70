// A file of torch's old container, taken apart.
#include "checkpoint/container.h"
#include "fuzz.h"

using namespace cornernet;

FUZZ_TARGET(legacy) {
  pickle::Unpickler unpickler("the pickle");
  open_legacy(input, unpickler);
}
