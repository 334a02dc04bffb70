#include "engine/quantization.h"

#include <ATen/ops/scalar_tensor.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <string_view>

#include "runtime/error.h"

namespace cornernet {
namespace {

constexpr std::string_view kWeightScale = "weight_scale", kBiasShift = "bias_shift", kOutputScale = "output_scale";

[[noreturn]] void refuse_scales(const std::string& sentence) { refuse_checkpoint("its quantization is damaged: " + sentence); }

/// One number, or one for each of `count` outputs.
at::Tensor numbers_of(const std::string& name, const at::Tensor& placed, std::vector<int64_t> shape, const TensorReader& read) {
  if (placed.sizes() != at::IntArrayRef(shape)) {
    refuse_scales(name + (shape.empty() ? " is not a single number" : " does not have " + std::to_string(shape[0]) + " numbers"));
  }
  if (!placed.is_floating_point()) refuse_scales(name + " is of " + std::string(c10::toString(placed.scalar_type())));
  return (read ? read(placed) : placed).to(at::kFloat).contiguous();
}

void check_scales(const std::string& name, const at::Tensor& scales) {
  const float* const values = scales.const_data_ptr<float>();
  const bool sound = std::all_of(values, values + scales.numel(), [](float scale) { return scale >= kLeastScale && scale <= kMostScale; });
  if (!sound) refuse_scales(name + " has a scale that is not a number above 0");
}

void check_finite(const std::string& name, const at::Tensor& numbers) {
  const float* const values = numbers.const_data_ptr<float>();
  if (!std::all_of(values, values + numbers.numel(), [](float value) { return std::isfinite(value); })) refuse_scales(name + " is not finite");
}

}  // namespace

Int8Layers read_quantization(const LayerOutputs& network, const NamedTensors& stated, const TensorReader& read) {
  Int8Layers layers;
  for (const auto& [name, placed] : stated) {
    const size_t dot = name.rfind('.');
    const std::string layer = name.substr(0, dot), what = dot == std::string::npos ? "" : name.substr(dot + 1);
    const auto known = network.find(layer);
    if (known == network.end()) refuse_scales("the network has no " + layer);
    const bool for_each = what == kWeightScale || what == kBiasShift;
    if (!(for_each && known->second > 0) && what != kOutputScale) refuse_scales(layer + " has no " + what);
    const at::Tensor numbers = numbers_of(name, placed, for_each ? std::vector<int64_t>{known->second} : std::vector<int64_t>{}, read);
    if (what == kBiasShift) {
      check_finite(name, numbers);
      layers[layer].bias_shift = numbers;
      continue;
    }
    check_scales(name, numbers);
    if (what == kWeightScale) {
      layers[layer].weight_scale = numbers;
    } else {
      layers[layer].output_scale = numbers.item<float>();
    }
  }
  return layers;
}

NamedTensors write_quantization(const Int8Layers& layers) {
  const std::map<std::string, Int8Layer> in_order(layers.begin(), layers.end());
  NamedTensors tensors;
  for (const auto& [name, layer] : in_order) {
    const auto add = [&, &name = name](std::string_view what, const at::Tensor& numbers) {
      if (numbers.defined()) tensors.emplace_back(name + "." + std::string(what), numbers);
    };
    add(kWeightScale, layer.weight_scale);
    add(kBiasShift, layer.bias_shift);
    if (layer.output_scale > 0) add(kOutputScale, at::scalar_tensor(layer.output_scale, at::kFloat));
  }
  return tensors;
}

}  // namespace cornernet
