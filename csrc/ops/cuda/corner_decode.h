// What the CUDA kernels of corner decoding are given, from tensors and options; needs no CUDA.
#pragma once
#include "ops/corner_decode.h"
#include "ops/cuda/corner_decode_job.h"

namespace cornernet::cuda {

/// Whether the kernels' bounds hold these maps and options; else the CPU decodes.
bool can_decode(const HeadMaps& maps, const DecodeOptions& options);
/// All but the geometry, which has to be on the device, and the blocks, which suit it.
DecodeJob decode_job(const HeadMaps& maps, const DecodeOptions& options);

}  // namespace cornernet::cuda
