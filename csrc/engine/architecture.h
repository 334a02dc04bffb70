// Which network a checkpoint holds, read off its keys and shapes, and putting its tensors in place.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "engine/config.h"
#include "nn/cornernet.h"

namespace cornernet {

/// Derives every dimension. Throws Error(Checkpoint) naming the key it needs and doesn't find, or whose shape can't be.
CornerNetConfig derive_architecture(const NamedTensors& tensors);

/// Throws Error(Checkpoint) when the configuration text in the file describes another network than the tensors do.
void cross_check(const CornerNetConfig& architecture, const StatedConfig& stated);

/// Puts each tensor where it belongs. Throws Error(Checkpoint) listing what is missing, unexpected or of the wrong shape.
void assign_parameters(CornerNet& network, const NamedTensors& tensors);

}  // namespace cornernet
