// Corner decoding on the CPU.
#pragma once
#include <vector>

#include "ops/corner_decode.h"

namespace cornernet::cpu {

/// Maps that live on another device are copied here first.
CandidateLists decode_corners(const CornerMaps& maps, const std::vector<ViewGeometry>& views, const DecodeOptions& options);

}  // namespace cornernet::cpu
