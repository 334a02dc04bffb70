// A scored box, as decoding yields it and soft-NMS thins it.
#pragma once

namespace cornernet {

/// Corners in pixels of the picture, x to the right and y down; `score` in [0, 1].
struct Candidate {
  float x1, y1, x2, y2;
  float score;
  int class_id;
};

}  // namespace cornernet
