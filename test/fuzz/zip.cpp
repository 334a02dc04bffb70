// A file of torch's zip container, taken apart.
#include "checkpoint/container.h"
#include "fuzz.h"

using namespace cornernet;

FUZZ_TARGET(zip) {
  pickle::Unpickler unpickler("the pickle");
  open_zip(input, unpickler);
}
