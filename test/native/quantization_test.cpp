// The int8 network: maps near fp32's whatever is of 8 bits, what a checkpoint may say of it, calibration's histograms.
#include "engine/quantization.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/full.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/scalar_tensor.h>
#include <c10/core/InferenceMode.h>

#include <cmath>
#include <functional>

#include "engine/architecture.h"
#include "nn/cornernet.h"
#include "op_cases.h"
#include "quantize/calibration.h"
#include "quantize/histogram.h"
#include "quantize/trial_network.h"
#include "runtime/error.h"
#include "test.h"
#include "tiny_network.h"

using namespace cornernet;
using namespace cornernet::testing;

namespace {

struct Networks {
  CornerNetConfig config = tiny_config();
  NamedTensors tensors;
  at::Tensor x;
  HeadMaps expected;
  std::map<std::string, double> largest;  // of each place's map
};

/// fp32's maps, and how large each map in between is.
Networks draw_networks() {
  at::manual_seed(5);
  Networks drawn;
  drawn.tensors = draw_state_dict(drawn.config);
  drawn.x = at::randn({1, 3, 127, 127}).contiguous(at::MemoryFormat::ChannelsLast);
  CornerNet exact(drawn.config);
  assign_parameters(exact, drawn.tensors);
  exact.prepare(at::kFloat, at::kCPU);
  const ActivationObserver observer{[&](const Activation& place, const at::Tensor& map, bool has_sign) {
                                      drawn.largest[place.name()] = at::abs(map).max().item<double>() / (has_sign ? 127 : 255);
                                    },
                                    {}};
  observe_activations(observer, [&] { drawn.expected = exact.forward(drawn.x); });
  return drawn;
}

CornerNet fresh(const Networks& drawn) {
  CornerNet network(drawn.config);
  assign_parameters(network, drawn.tensors);
  return network;
}

bool is_result(const std::string& name) { return name.starts_with("bbox_head.") && name.ends_with(".1.conv"); }

/// Everything of 8 bits but what `wide` names, and the convolutions that read those.
Int8Layers layers_of(const Networks& drawn, const std::function<bool(const std::string&)>& wide) {
  Int8Layers layers;
  CornerNet network = fresh(drawn);
  const CornerNet::Parts parts = network.parts();
  for (const auto& [prefix, conv] : parts.convs) {
    const std::string name = conv->name(prefix);
    const at::Tensor range = at::amax(at::abs(conv->folded(prefix, at::kFloat).weight), {1, 2, 3}).div(127);
    layers[name] = {range, {}, is_result(name) || wide(name) ? 0 : drawn.largest.at(name)};
  }
  for (const auto& [name, sum] : parts.sums) layers[name].output_scale = wide(name) ? 0 : drawn.largest.at(name);
  return layers;
}

double distance(const HeadMaps& a, const HeadMaps& b) {
  double largest = 0;
  for (const auto& [x, y] : {std::pair{a.tl.heat, b.tl.heat}, {a.br.heat, b.br.heat}, {a.tl.emb, b.tl.emb}, {a.br.off, b.br.off}}) {
    const at::Tensor exact = x.to(at::kDouble), other = y.to(at::kDouble);
    largest = std::max(largest, (exact - other).square().sum().sqrt().item<double>() / exact.square().sum().sqrt().item<double>());
  }
  return largest;
}

const Registration mixtures("int8 network: maps stay near fp32's, whichever maps have 8 bits", [] {
  skip_without_int8();
  const c10::InferenceMode inference;
  const Networks drawn = draw_networks();
  const std::vector<std::pair<const char*, std::function<bool(const std::string&)>>> mixtures{
      {"all in 8 bits", [](const std::string&) { return false; }},
      {"blocks' results wide", [](const std::string& name) { return name.ends_with("conv2"); }},
      {"blocks' inner maps wide", [](const std::string& name) { return name.ends_with("conv1"); }},
      {"sums wide", [](const std::string& name) { return name.ends_with("sum") || name.ends_with("pooled"); }},
      {"what sums read wide", [](const std::string& name) { return contains(name, "low3") || contains(name, "direction1"); }},
      {"ways around wide", [](const std::string& name) { return contains(name, "downsample") || contains(name, "remap"); }},
      {"the head wide", [](const std::string& name) { return name.starts_with("bbox_head"); }},
  };
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    for (const auto& [what, wide] : mixtures) {
      const Int8Layers layers = layers_of(drawn, wide);
      CornerNet network = fresh(drawn);
      network.prepare({.dtype = type, .int8 = &layers, .both = true});
      const HeadMaps maps = network.forward(drawn.x.to(type));
      check(maps.tl.heat.scalar_type() == type && !maps.tl.heat.is_quantized(), what, ": the maps are of another type");
      // A hundred roundings of half a step of 1/255 of the largest number, which is some ten times the usual one, through about twenty layers of
      // drawn weights; a map lost or scaled wrongly is off by its own size.
      const double difference = distance(drawn.expected, maps);
      check(difference < 0.3, what, " in ", type, ": maps differ by ", difference);
    }
  }
});

const Registration work("int8 network: its work says what is of 8 bits", [] {
  skip_without_int8();
  const c10::InferenceMode inference;
  const Networks drawn = draw_networks();
  const Int8Layers layers = layers_of(drawn, [](const std::string& name) { return name == "backbone.stem.0.conv"; });
  CornerNet network = fresh(drawn), plain = fresh(drawn);
  network.prepare({.dtype = at::kFloat, .int8 = &layers, .both = true});
  plain.prepare(at::kFloat, at::kCPU);
  const auto in_8_bits = network.work(1, 127, 127, at::kFloat), wide = plain.work(1, 127, 127, at::kFloat);
  check(in_8_bits.size() == wide.size(), "other operators");
  for (size_t i = 0; i < wide.size(); ++i) {
    const bool reads_wide = i <= 2 && in_8_bits[i].layer != "backbone.stem.1.0.conv2";  // the stem, and what reads it
    check(in_8_bits[i].int8 == !reads_wide, in_8_bits[i].layer, " is said to read ", in_8_bits[i].int8 ? "8" : "more", " bits");
    check(!wide[i].int8 && wide[i].flops == in_8_bits[i].flops, "other operations");
  }
});

const Registration impossible("int8 network: layers that don't fit each other are refused", [] {
  const c10::InferenceMode inference;
  const Networks drawn = draw_networks();
  const auto refusal = [&](const Int8Layers& layers) {
    CornerNet network = fresh(drawn);
    return refused(ErrorCode::Checkpoint, [&] { network.prepare({.dtype = at::kFloat, .int8 = &layers}); });
  };
  Int8Layers layers = layers_of(drawn, [](const std::string&) { return false; });
  // The stem reads the picture, which has no 8 bits.
  check(contains(refusal(layers), "backbone.stem.0.conv, which reads a map that is not of 8 bits"), "another sentence");
  layers["backbone.stem.0.conv"].weight_scale.reset();
  layers["bbox_head.tl_heat.1.1.conv"].output_scale = 1;
  check(contains(refusal(layers), "a map that the heads give"), "another sentence");
});

const Registration statements("int8 network: what a checkpoint says is read, and refused where it is damaged", [] {
  const Networks drawn = draw_networks();
  CornerNet drawn_network = fresh(drawn);
  const LayerOutputs network = outputs_of(drawn_network);
  const std::string conv = "backbone.stem.0.conv", sum = "backbone.hourglass_modules.0.sum";
  const auto read = [&](const std::string& name, const at::Tensor& tensor) { return read_quantization(network, {{name, tensor}}, {}); };
  const at::Tensor eight = at::full({8}, 0.5), one = at::scalar_tensor(0.25);
  const Int8Layers layers =
      read_quantization(network, {{conv + ".weight_scale", eight}, {conv + ".bias_shift", eight.neg()}, {sum + ".output_scale", one}}, {});
  check(layers.at(conv).weight_scale.numel() == 8 && layers.at(conv).bias_shift.numel() == 8 && layers.at(sum).output_scale == 0.25, "other numbers");
  check(write_quantization(layers).size() == 3, "writing gives other tensors");
  const auto refuses = [&](const char* part, const std::string& name, const at::Tensor& tensor) {
    const std::string sentence = refused(ErrorCode::Checkpoint, [&] { read(name, tensor); });
    check(contains(sentence, part), sentence);
  };
  const double infinite = std::numeric_limits<double>::infinity();
  for (const double wrong : {0.0, -1.0, std::nan(""), infinite, 1e30, 1e-30}) {
    refuses("not a number above 0", conv + ".weight_scale", at::full({8}, wrong));
    refuses("not a number above 0", sum + ".output_scale", at::scalar_tensor(wrong));
  }
  refuses("is not finite", conv + ".bias_shift", at::full({8}, infinite));
  refuses("does not have 8 numbers", conv + ".weight_scale", at::full({7}, 1));
  refuses("does not have 8 numbers", conv + ".weight_scale", one);
  refuses("is not a single number", sum + ".output_scale", eight);
  refuses("is of Int", conv + ".weight_scale", eight.to(at::kInt));
  refuses("has no backbone.stem.9", "backbone.stem.9.weight_scale", eight);
  refuses("has no weight_scale", sum + ".weight_scale", one);
  refuses("has no colour", conv + ".colour", one);
  refuses("has no nothing", "nothing", one);
});

const Registration dead("calibration: blocks and outputs that learned nothing are no obstacle, and what is written can be read", [] {
  Networks drawn = draw_networks();
  for (auto& [name, tensor] : drawn.tensors) {
    if (name == "backbone.hourglass_modules.0.up1.0.bn2.weight") tensor.fill_(0);    // no weights
    if (name == "backbone.hourglass_modules.0.low3.0.bn1.weight") tensor.fill_(0);   // no map:
    if (name == "backbone.hourglass_modules.0.low3.0.bn1.bias") tensor.fill_(-1);    // the ReLU takes it
    if (name == "backbone.hourglass_modules.1.up1.0.bn1.weight") tensor[0] = 1e-20;  // of one output
  }
  CornerNet exact = fresh(drawn);
  std::map<std::string, at::Tensor> ranges;
  for (const auto& [prefix, conv] : exact.parts().convs) {
    const std::string name = conv->name(prefix);
    if (name.ends_with(".conv2")) ranges[quantization::beside(name, "conv1")] = at::amax(at::abs(conv->folded(prefix, at::kFloat).weight), {0, 2, 3});
  }
  exact.prepare(at::kFloat, at::kCPU);
  quantization::Calibration calibration(exact, ranges);
  calibration.begin({drawn.x});
  for (const auto& [name, factors] : calibration.factors())
    check(factors.min().item<float>() >= 1.f / 16 && factors.max().item<float>() <= 16, name, " is equalised by ", factors);
  quantization::TrialNetwork trial(drawn.config, drawn.tensors, calibration, {drawn.x}, at::kFloat);
  CornerNet network = fresh(drawn);
  std::vector<quantization::LayerReport> reported;
  for (const auto& [name, outputs] : outputs_of(network)) reported.push_back({.name = name, .op = "conv", .int8 = true});
  quantization::Plan plan;
  for (const bool equalised : {false, true}) {
    plan.equalised = equalised;
    const NamedTensors written = write_quantization(trial.layers(plan, reported));
    check(!read_quantization(outputs_of(network), written, {}).empty(), "nothing was written");
  }
});

const Registration histograms("calibration: histograms find the scale that a method asks for, whatever range comes when", [] {
  using quantization::Histogram;
  using quantization::Method;
  at::manual_seed(6);
  const at::Tensor usual = at::randn({100'000}).abs();  // half a bell, and one number far outside
  Histogram histogram;
  for (int i = 0; i < 10; ++i) {
    const at::Tensor some = usual.slice(0, i * 10'000, (i + 1) * 10'000);
    histogram.add(some.const_data_ptr<float>(), some.numel(), some.max().item<float>());
  }
  const float outlier = 100;
  histogram.add(&outlier, 1, outlier);
  check(std::abs(histogram.scale(Method::Largest, false) * 255 - 100) < 1e-3, "the largest is another");
  // 99.9% of a bell's numbers lie within 3.29 deviations; a bin is 100 (doubled from 4) / 4096 wide.
  check(std::abs(histogram.scale(Method::Percentile999, true) * 127 - 3.29) < 0.1, "the percentile is ",
        histogram.scale(Method::Percentile999, true) * 127);
  const double least = histogram.scale(Method::SquaredError, false), entropy = histogram.scale(Method::Entropy, false);
  for (const auto& [method, name, below] : quantization::kMethods) {
    check(histogram.rounding(least, false) <= histogram.rounding(histogram.scale(method, false), false) * 1.01, name, " has less error");
  }
  check(entropy * 255 < 50, "the outlier takes half the levels: ", entropy * 255);
  // Steps of s round by s / sqrt(12); the numbers' own mean square is 1.
  Histogram bell;
  bell.add(usual.const_data_ptr<float>(), usual.numel(), usual.max().item<float>());
  check(std::abs(bell.rounding(0.02, false) / (0.02 / std::sqrt(12)) - 1) < 0.02, "rounding is ", bell.rounding(0.02, false));
  const Histogram nothing;
  check(nothing.scale(Method::Entropy, false) > 0 && nothing.rounding(1, false) == 0, "an empty histogram has no scale");
});

}  // namespace
