// One pickle after the other, as long as there are bytes.
#include "checkpoint/pickle.h"

#include "fuzz.h"

FUZZ_TARGET(pickle) {
  cornernet::pickle::Unpickler unpickler("the pickle");
  while (!input.empty()) {
    const cornernet::pickle::Value& value = unpickler.load(input);
    value.find("state_dict");
    value.qualified_name();
  }
}
