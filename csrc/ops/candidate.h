// A scored box, as decoding yields it and soft-NMS thins it.
#pragma once
#ifndef __CUDACC__  // device code has no standard library
#include <vector>
#endif

namespace cornernet {

/// Corners in pixels of the picture, x to the right and y down; `score` in [0, 1].
struct Candidate {
  float x1, y1, x2, y2;
  float score;
  int class_id;
};

#ifndef __CUDACC__
/// One list a view, or one a picture.
using CandidateLists = std::vector<std::vector<Candidate>>;
#endif

}  // namespace cornernet
