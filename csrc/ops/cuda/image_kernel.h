// Making the network's input on a CUDA device. `stream` is a cudaStream_t.
#pragma once
#include "ops/cuda/launch_status.h"
#include "ops/image_job.h"
#include "ops/scalar_type.h"

namespace cornernet::cuda {

/// All pointers are the device's, those within the jobs too.
LaunchStatus make_input(const PictureJob* pictures, const LevelTable* table, const InputView& view, void* input, Scalar scalar, void* stream);

}  // namespace cornernet::cuda
