// What a calibrated checkpoint says of its int8 network: between the file's tensors and the layers.
#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "checkpoint/checkpoint.h"
#include "nn/cornernet.h"

namespace cornernet {

/// Of a scale. Within them neither they nor their inverses and products leave fp32.
inline constexpr float kLeastScale = 1e-12f, kMostScale = 1e12f;

/// How many outputs each convolution has, by name, and 0 for each sum of maps.
using LayerOutputs = std::map<std::string, int64_t>;
inline LayerOutputs outputs_of(CornerNet& network) {
  LayerOutputs outputs;
  const CornerNet::Parts parts = network.parts();
  for (const auto& [prefix, conv] : parts.convs) outputs[conv->name(prefix)] = conv->dimensions().out_channels;
  for (const auto& [name, sum] : parts.sums) outputs[name] = 0;
  return outputs;
}

/// `stated` is the file's "quantization": "<layer>.weight_scale" and "<layer>.bias_shift", one number an output, and "<layer>.output_scale", a single
/// one, with the numbers that `read` gives. Throws Error(Checkpoint) that names what the network doesn't have, what has another shape, and scales
/// that are not finite and above 0.
Int8Layers read_quantization(const LayerOutputs& network, const NamedTensors& stated, const TensorReader& read);
/// The reverse.
NamedTensors write_quantization(const Int8Layers& layers);

}  // namespace cornernet
