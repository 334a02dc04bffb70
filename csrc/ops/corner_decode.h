// From corner heatmaps, embeddings and offsets to scored boxes: peaks, top-k, gathering and pairing.
#pragma once
#include <ATen/core/Tensor.h>

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

/// What one view's maps hold.
struct Decoded {
  /// In descending score (at equal scores the lower pair index first), at most max_candidates long.
  std::vector<Candidate> candidates;
  /// False when a heatmap, or what belongs to one of its peaks, is infinite or NaN: the candidates then mean nothing.
  bool finite = true;
};
using DecodedViews = std::vector<Decoded>;

/// Error(Input) says what of these doesn't fit together.
void check_decoding(const HeadMaps& maps, size_t views, const DecodeOptions& options);
/// One entry a view; of maps on the CPU. On a GPU engine/device_calls.h decodes.
DecodedViews decode_corners(const HeadMaps& maps, const std::vector<ViewGeometry>& views, const DecodeOptions& options);

}  // namespace cornernet
