// Candidates of several views or pictures. Apart from ops/candidate.h, which device code includes: that has no standard library.
#pragma once
#include <vector>

#include "ops/candidate.h"

namespace cornernet {

/// One list a view, or one a picture.
using CandidateLists = std::vector<std::vector<Candidate>>;

}  // namespace cornernet
