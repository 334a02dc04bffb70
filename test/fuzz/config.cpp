// A checkpoint's configuration text, as far as settings.
#include "engine/config.h"

#include "fuzz.h"

FUZZ_TARGET(config) { cornernet::parse_config(cornernet::fuzz::text_of(input)); }
