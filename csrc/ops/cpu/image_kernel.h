// Making the network's input on the CPU.
#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

#include "ops/image_job.h"

namespace cornernet::cpu {

/// `input`: [views, 3, height, width], channels-last, is written whole.
void make_input(const std::vector<PictureJob>& pictures, const LevelTable& table, const InputView& view, at::Tensor& input);

}  // namespace cornernet::cpu
