// Python's literals: the parser never fails, and never goes deeper than it says.
#include "checkpoint/python_literal.h"
#include "fuzz.h"

FUZZ_TARGET(literal) { cornernet::parse_assignments(cornernet::fuzz::text_of(input)); }
