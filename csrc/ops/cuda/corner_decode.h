// Corner decoding on a CUDA device, from tensors to candidates.
#pragma once
#include <functional>
#include <vector>

#include "ops/corner_decode.h"

namespace cornernet::cuda {

/// Whether the kernels' bounds hold these maps and options; else the CPU decodes.
bool can_decode(const CornerMaps& maps, const DecodeOptions& options);
/// Only the candidates come back from the device, into pinned memory; what is returned waits for them.
std::function<CandidateLists()> start_decoding(const CornerMaps& maps, const std::vector<ViewGeometry>& views, const DecodeOptions& options);

}  // namespace cornernet::cuda
