// Making the network's input on a CUDA device, from pictures in host memory.
#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

#include "ops/image_job.h"

namespace cornernet::cuda {

/// Uploads all pictures through one pinned buffer and fills `input`; does not wait for the device.
void make_input(std::vector<PictureJob> pictures, const LevelTable& table, const InputView& view, at::Tensor& input);

}  // namespace cornernet::cuda
