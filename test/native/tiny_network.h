// A CornerNet small enough for tests, with drawn weights.
#pragma once
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>

#include <string>
#include <utility>
#include <vector>

#include "nn/cornernet.h"

namespace cornernet::testing {

inline CornerNetConfig tiny_config(int64_t num_stacks = 2) {
  CornerNetConfig config;
  config.backbone.num_stacks = num_stacks;
  config.backbone.stem_channels = 8;
  config.backbone.feat_channels = 12;
  config.backbone.stage_channels = {16, 16, 24};
  config.backbone.stage_blocks = {1, 2, 3};
  config.head.num_classes = 3;
  config.head.in_channels = 12;
  config.head.pool_channels = 8;
  config.head.branch_channels = 10;
  config.head.num_levels = 2;
  return config;
}

/// Weights that keep activations in range: He-scaled convolutions, norms near the identity.
inline at::Tensor draw(const Parameter& parameter, at::ScalarType dtype) {
  const auto ends_with = [&](const char* suffix) { return parameter.name.ends_with(suffix); };
  if (ends_with("num_batches_tracked")) return at::ones({}, at::TensorOptions(at::kLong));
  const at::TensorOptions options(dtype);
  if (ends_with("running_var")) return at::randn(parameter.shape, options).mul(0.1).exp();
  if (parameter.shape.size() == 4) {
    const double fan_in = static_cast<double>(parameter.shape[1] * parameter.shape[2] * parameter.shape[3]);
    return at::randn(parameter.shape, options).mul(std::sqrt(2.0 / fan_in));
  }
  const at::Tensor noise = at::randn(parameter.shape, options).mul(0.1);
  return ends_with("bn.weight") || ends_with("bn1.weight") || ends_with("bn2.weight") || ends_with(".1.weight") ? noise.add(1.0) : noise;
}

inline std::vector<std::pair<std::string, at::Tensor>> draw_state_dict(const CornerNetConfig& config, at::ScalarType dtype = at::kFloat) {
  CornerNet network(config);
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const Parameter& parameter : network.parameters()) tensors.emplace_back(parameter.name, draw(parameter, dtype));
  return tensors;
}

}  // namespace cornernet::testing
