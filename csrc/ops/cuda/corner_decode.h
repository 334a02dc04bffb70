// Corner decoding on a CUDA device, from tensors to candidates.
#pragma once
#include <vector>

#include "ops/corner_decode.h"

namespace cornernet::cuda {

/// Whether the kernels' bounds hold these maps and options; else the CPU decodes.
bool can_decode(const CornerMaps& maps, const DecodeOptions& options);
/// Waits for the device: only the candidates come back.
std::vector<std::vector<Candidate>> decode_corners(const CornerMaps& maps, const std::vector<ViewGeometry>& views, const DecodeOptions& options);

}  // namespace cornernet::cuda
