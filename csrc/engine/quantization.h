// What a calibrated checkpoint says of its int8 network: between the file's tensors and the layers.
#pragma once
#include "checkpoint/checkpoint.h"
#include "nn/cornernet.h"

namespace cornernet {

/// `stated` is the file's "quantization": "<layer>.weight_scale" and "<layer>.bias_shift", one number an output, and "<layer>.output_scale", a single
/// one, with the numbers that `read` gives. Throws Error(Checkpoint) that names what the network doesn't have, what has another shape, and scales
/// that are not finite and above 0.
Int8Layers read_quantization(CornerNet& network, const NamedTensors& stated, const TensorReader& read);
/// The reverse.
NamedTensors write_quantization(const Int8Layers& layers);

}  // namespace cornernet
