#include "quantize/calibration.h"

#include <ATen/ops/abs.h>
#include <ATen/ops/add.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/div.h>
#include <ATen/ops/exp2.h>
#include <ATen/ops/log2.h>
#include <ATen/ops/max.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/round.h>
#include <ATen/ops/sqrt.h>

#include <algorithm>
#include <cmath>

#include "runtime/error.h"

namespace cornernet::quantization {
namespace {

// Numbers of a map that go into its histogram and, of the probes, are kept.
constexpr int64_t kCounted = int64_t{1} << 17, kSampled = 2048;
// Equalising factors lie within 2 to this power and its inverse.
constexpr double kMostFactor = 4;

/// At most so many, evenly spread over memory, at odd steps so that no channel is favoured.
at::Tensor spread(const at::Tensor& map, int64_t most) {
  const at::Tensor flat = map.permute({0, 2, 3, 1}).reshape({-1});  // a view: maps are channels-last
  const int64_t step = flat.numel() / most + 1;
  return flat.slice(0, 0, std::nullopt, step % 2 == 1 ? step : step + 1).to(at::kFloat).contiguous();
}

at::Tensor channel_most(const at::Tensor& map) { return at::amax(at::abs(map), {0, 2, 3}); }

/// Of the largest; also where all are 0, as those of a block that learned nothing.
at::Tensor relative(const at::Tensor& ranges) { return at::div(ranges, at::clamp(at::max(ranges), 1e-30)); }

void count(Histogram& histogram, const at::Tensor& map) {
  const float largest = at::max(at::abs(map)).item<float>();
  if (!std::isfinite(largest))
    refuse_checkpoint("the network computed numbers that are not finite: the weights are damaged, or not made for such pictures");
  const at::Tensor values = spread(map, kCounted);
  histogram.add(values.const_data_ptr<float>(), values.numel(), largest);
}

}  // namespace

at::Tensor sampled(const at::Tensor& map) { return spread(map.is_quantized() ? dequantize(map, at::kFloat) : map, kSampled); }

std::vector<std::pair<std::string, at::Tensor>> named_maps(const HeadMaps& maps) {
  return {{"tlHeat", maps.tl.heat}, {"brHeat", maps.br.heat}, {"tlEmb", maps.tl.emb},
          {"brEmb", maps.br.emb},   {"tlOff", maps.tl.off},   {"brOff", maps.br.off}};
}

Calibration::Calibration(CornerNet& network, std::map<std::string, at::Tensor> weight_ranges)
    : network_(network), weight_ranges_(std::move(weight_ranges)) {
  for (const auto& [prefix, conv] : network.parts().convs) {
    const std::string name = conv->name(prefix);
    if (!name.starts_with("bbox_head.")) continue;
    if (name.ends_with(".1.conv")) results_.insert(name);
    if (name.ends_with(".0.conv")) before_results_.insert(name);
  }
}

void Calibration::begin(const std::vector<at::Tensor>& inputs) {
  std::map<std::string, at::Tensor> ranges;
  const ActivationObserver observer{[&](const Activation& place, const at::Tensor& map, bool) {
                                      if (!weight_ranges_.contains(place.name())) return;
                                      at::Tensor& range = ranges[place.name()];
                                      range = range.defined() ? at::maximum(range, channel_most(map)) : channel_most(map);
                                    },
                                    {}};
  for (const at::Tensor& input : inputs) observe_activations(observer, [&] { network_.forward(input); });
  for (const auto& [name, range] : ranges) {
    // What a channel's numbers and its weights spread over becomes alike; channels that are never used are left alone.
    const at::Tensor ratio = at::sqrt(at::div(at::clamp(relative(range), 1e-6), at::clamp(relative(weight_ranges_.at(name)), 1e-6)));
    factors_[name] = at::exp2(at::clamp(at::round(at::log2(ratio)), -kMostFactor, kMostFactor));
  }
  for (const at::Tensor& input : inputs) reference_.push_back(look(input, /*probe=*/true));
}

HeadMaps Calibration::look(const at::Tensor& input, bool probe) {
  const ActivationObserver observer{[&](const Activation& activation, const at::Tensor& map, bool has_sign) {
                                      Place& place = places_[activation.name()];
                                      place.has_sign = has_sign;
                                      count(place.plain, map);
                                      if (const auto factor = factors_.find(activation.name()); factor != factors_.end()) {
                                        count(place.equalised, at::div(map, factor->second.reshape({1, -1, 1, 1})));
                                      }
                                      if (probe) place.samples.push_back(sampled(map));
                                    },
                                    [&](const Activation& reader, const at::Tensor& map) {
                                      Mean& mean = means_[reader.name()];
                                      const at::Tensor of_map = at::mean(map, at::OptionalIntArrayRef({0, 2, 3})).to(at::kDouble);
                                      mean.sum = mean.sum.defined() ? at::add(mean.sum, of_map) : of_map;
                                      mean.count += 1;
                                    }};
  HeadMaps maps;
  observe_activations(observer, [&] { maps = network_.forward(input); });
  return maps;
}

at::Tensor Calibration::input_mean(const std::string& conv) const {
  const auto found = means_.find(conv);
  return found == means_.end() ? at::Tensor() : at::div(found->second.sum, found->second.count);
}

}  // namespace cornernet::quantization
