// From corner heatmaps, embeddings and offsets to scored boxes: peaks, top-k, gathering and pairing.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

#include "ops/candidate.h"
#include "ops/corner_pairing.h"
#include "ops/settings.h"

namespace cornernet {

/// One kind of corner's maps before the sigmoid, any dtype, contiguous or channels-last: heat [V, classes, h, w], emb [V, 1, h, w],
/// off [V, 2, h, w] (channel 0 is x).
struct CornerMaps {
  at::Tensor heat, emb, off;
};

/// The last level's, on one device.
struct HeadMaps {
  CornerMaps tl, br;
};

/// One list a view, in descending score (at equal scores the lower pair index first), at most max_candidates long. Does not wait for the device:
/// what comes back does. It may be called once, on any thread, when `maps` are long gone.
std::function<CandidateLists()> start_decoding(const HeadMaps& maps, const std::vector<ViewGeometry>& views, const DecodeOptions& options);

}  // namespace cornernet
