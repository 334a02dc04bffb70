// The CUDA side of the operators that take more than a launch, from tensors to results.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

#include "ops/corner_decode.h"
#include "ops/image_job.h"

namespace cornernet::cuda {

/// Uploads all pictures through one pinned buffer and fills `input`; does not wait for the device.
void make_input(std::vector<PictureJob> pictures, const LevelTable& table, const InputView& view, at::Tensor& input);

/// Whether the kernels' bounds hold these maps and options; else the CPU decodes.
bool can_decode(const HeadMaps& maps, const DecodeOptions& options);
/// Only the candidates come back from the device, into pinned memory; what is returned waits for them.
std::function<DecodedViews()> start_decoding(const HeadMaps& maps, const std::vector<ViewGeometry>& views, const DecodeOptions& options);

}  // namespace cornernet::cuda
