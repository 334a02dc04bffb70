// The network and what it is derived from: folding, packing, precisions, gradients, checkpoints that do not fit.
#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/InferenceMode.h>

#include <atomic>
#include <cmath>
#include <functional>

#include "engine/architecture.h"
#include "nn/beside.h"
#include "nn/cornernet.h"
#include "op_cases.h"
#include "ops/conv.h"
#include "ops/image_job.h"
#include "runtime/interrupt.h"
#include "test.h"
#include "tiny_network.h"

using namespace cornernet;
using namespace cornernet::testing;

namespace {

CornerNet network_of(const CornerNetConfig& config, const NamedTensors& tensors) {
  CornerNet network(config);
  assign_parameters(network, tensors);
  return network;
}

std::vector<at::Tensor> list(const HeadMaps& maps) { return {maps.tl.heat, maps.br.heat, maps.tl.emb, maps.br.emb, maps.tl.off, maps.br.off}; }

/// The largest difference of any map, in units of that map's largest value.
double relative_difference(const HeadMaps& a, const HeadMaps& b) {
  double largest = 0;
  const auto left = list(a), right = list(b);
  for (size_t i = 0; i < left.size(); ++i) {
    const at::Tensor exact = left[i].cpu().to(at::kDouble), other = right[i].cpu().to(at::kDouble);
    largest = std::max(largest, (exact - other).abs().max().item<double>() / exact.abs().max().item<double>());
  }
  return largest;
}

void check_folded(at::Device device, Merging merging) {
  const c10::InferenceMode inference;
  at::globalContext().setAllowTF32CuDNN(false);  // as the engine does; LibTorch's default would round to 11 bits on a GPU
  at::manual_seed(1);
  const auto config = tiny_config();
  const auto tensors = draw_state_dict(config);
  const CornerNet plain = network_of(config, tensors);
  CornerNet packed = network_of(config, tensors);
  packed.prepare({.dtype = at::kFloat, .device = device, .merging = merging});
  // fp32 rounds by 6e-8; another order of summation over a few hundred products through about twenty layers makes about a hundred times that.
  // Winograd's transforms, which cuDNN may choose, round some ten times as much again.
  const double allowed = device.is_cuda() ? 2e-4 : 2e-5;
  for (const auto& size : std::vector<std::vector<int64_t>>{
           {1, 3, 127, 127}, {2, 3, 127, 255}, {1, 3, 383, 127}, {1, 3, 127, 639}, {3, 3, 255, 127}, {1, 3, 127, 127}}) {
    const at::Tensor x = at::randn(size).contiguous(at::MemoryFormat::ChannelsLast);
    const double difference = relative_difference(plain.forward(x), packed.forward(x.to(device)));
    check(difference < allowed, "maps differ by ", difference, merging == Merging::All ? " merged" : "");
  }
}

void check_sixteen_bits(at::Device device) {
  const c10::InferenceMode inference;
  at::manual_seed(2);
  const auto config = tiny_config();
  const auto tensors = draw_state_dict(config);
  CornerNet exact = network_of(config, tensors);
  exact.prepare(at::kFloat, at::kCPU);
  const at::Tensor x = at::randn({1, 3, 127, 127}).contiguous(at::MemoryFormat::ChannelsLast);
  const HeadMaps expected = exact.forward(x);
  for (const at::ScalarType type : precisions_on(device)) {
    if (type == at::kFloat) continue;
    for (const Merging merging : {Merging::None, Merging::All}) {
      CornerNet rounded = network_of(config, tensors);
      rounded.prepare({.dtype = type, .device = device, .merging = merging});
      check(rounded.input_channels() == (merging == Merging::All ? kPaddedChannels : 3), "the input has ", rounded.input_channels(), " channels");
      const HeadMaps maps = rounded.forward(x.to(device, type));
      check(maps.tl.heat.scalar_type() == type, "the maps are not ", type);
      const double difference = relative_difference(expected, maps);
      // bf16's 8 bits of mantissa round by 0.4%, fp16's 11 by 0.05%, through about twenty layers, and drawn weights amplify more than trained ones.
      check(difference < (type == at::kBFloat16 ? 0.2 : 0.025), "maps in ", type, " differ by ", difference);
    }
  }
}

const Registration gradient("nn: gradients of the unprepared network agree with finite differences", [] {
  at::manual_seed(3);
  const at::AutoGradMode recording(true);
  const auto config = tiny_config(1);
  const auto tensors = draw_state_dict(config, at::kDouble);
  const CornerNet network = network_of(config, tensors);
  const at::Tensor x = at::randn({1, 3, 63, 63}, at::TensorOptions(at::kDouble)).set_requires_grad(true);
  const auto loss = [&](const at::Tensor& input) {
    at::Tensor sum;
    for (const at::Tensor& map : list(network.forward(input))) sum = sum.defined() ? sum + map.square().mean() : map.square().mean();
    return sum;
  };
  loss(x).backward();
  const at::Tensor slope = x.grad().flatten();
  constexpr double kStep = 1e-6;
  for (const int64_t i : {0L, 777L, 5000L, 63L * 63 * 3 - 1}) {
    const at::NoGradGuard still;
    const auto moved = [&](double by) {
      at::Tensor other = x.detach().clone();
      other.flatten()[i] += by;
      return loss(other).item<double>();
    };
    const double numeric = (moved(kStep) - moved(-kStep)) / (2 * kStep);
    // fp64 rounding of the loss over the step is 1e-9; ReLUs and maxima that switch within the step add a little.
    check(std::abs(numeric - slope[i].item<double>()) < 1e-5 * std::max(1.0, std::abs(numeric)), "at ", i, ": ", slope[i].item<double>(), " against ",
          numeric);
  }
});

const Registration derived("engine: dimensions follow from keys and shapes", [] {
  for (const int64_t stacks : {1, 2, 3}) {
    const auto config = tiny_config(stacks);
    const CornerNetConfig found = derive_architecture(draw_state_dict(config));
    check(found.backbone.num_stacks == stacks && found.backbone.stem_channels == 8 && found.backbone.feat_channels == 12, "the backbone is wrong");
    check(found.backbone.stage_channels == config.backbone.stage_channels && found.backbone.stage_blocks == config.backbone.stage_blocks,
          "the stages are wrong");
    check(found.head.num_classes == 3 && found.head.pool_channels == 8 && found.head.branch_channels == 10 && found.head.num_levels == 2,
          "the head is wrong");
  }
});

const Registration misfit("engine: missing, unexpected and misshapen tensors are listed, ten of each and a count", [] {
  const auto config = tiny_config();
  auto tensors = draw_state_dict(config);
  std::erase_if(tensors, [](const auto& item) { return item.first.starts_with("bbox_head.br_pool.1."); });
  tensors.emplace_back("neck.conv.weight", at::ones({1}));
  for (auto& [name, tensor] : tensors) {
    if (name == "backbone.stem.0.bn.bias") tensor = at::ones({9});
  }
  CornerNet network(derive_architecture(tensors));
  const std::string sentence = refused(ErrorCode::Checkpoint, [&] { assign_parameters(network, tensors); });
  check(contains(sentence, "25 missing (bbox_head.br_pool.1.direction1_conv.conv.weight, ") && contains(sentence, ", ...)"), sentence);
  check(contains(sentence, "1 unexpected (neck.conv.weight)"), sentence);
  check(contains(sentence, "1 of the wrong shape (backbone.stem.0.bn.bias [9] instead of [8])"), sentence);
});

const Registration variances("network: a variance below 0 is refused and named", [] {
  auto tensors = draw_state_dict(tiny_config());
  for (auto& [name, tensor] : tensors) {
    if (name == "backbone.stem.0.bn.running_var") tensor = at::ones({8}).sub(3);
  }
  CornerNet network = network_of(tiny_config(), tensors);
  const std::string sentence = refused(ErrorCode::Checkpoint, [&] { network.prepare(at::kFloat, at::kCPU); });
  check(contains(sentence, "backbone.stem.0.bn.running_var is below 0"), sentence);
});

const Registration stacks("engine: a few keys do not stand for a network of millions of blocks", [] {
  NamedTensors tensors{{"bbox_head.x", at::ones({1})}};
  const auto weight = [&](const std::string& name) { tensors.emplace_back(name + ".weight", at::ones({1, 1, 1, 1})); };
  for (int stack = 0; stack < 64; ++stack) weight("backbone.hourglass_modules." + std::to_string(stack) + ".x");
  for (const char* const name : {"backbone.stem.0.conv", "backbone.out_convs.0.conv"}) weight(name);
  std::string stage = "backbone.hourglass_modules.0.";
  for (int depth = 0; depth < 15; ++depth, stage += "low2.") {
    for (int block = 0; block < 256; ++block) weight(stage + "up1." + std::to_string(block) + ".conv1");
  }
  for (int block = 0; block < 256; ++block) weight(stage + std::to_string(block) + ".conv1");
  const std::string sentence = refused(ErrorCode::Checkpoint, [&] { derive_architecture(tensors); });
  check(contains(sentence, "its 64 hourglasses would have at least"), sentence);
});

const Registration foreign("engine: other networks are refused with what is missing", [] {
  check(contains(refused(ErrorCode::Checkpoint, [] { derive_architecture({{"layer1.0.conv1.weight", at::ones({1})}}); }), "backbone.*"),
        "names no key");
  auto tensors = draw_state_dict(tiny_config());
  std::erase_if(tensors, [](const auto& item) { return item.first.starts_with("backbone.hourglass_modules."); });
  check(contains(refused(ErrorCode::Checkpoint, [&] { derive_architecture(tensors); }), "backbone.hourglass_modules."), "names no key");
  tensors = draw_state_dict(tiny_config());
  for (auto& [name, tensor] : tensors) {
    if (name == "bbox_head.tl_emb.0.1.conv.weight") tensor = at::ones({2, 10, 1, 1});
  }
  check(contains(refused(ErrorCode::Checkpoint, [&] { derive_architecture(tensors); }), "embeddings have 2 channels"), "doesn't name the embeddings");
  CornerNetConfig apart = tiny_config();
  apart.head.in_channels += 4;
  const std::string sentence = refused(ErrorCode::Checkpoint, [&] { derive_architecture(draw_state_dict(apart)); });
  check(contains(sentence, "its backbone gives " + std::to_string(tiny_config().backbone.feat_channels) + " channels, of which its head takes "),
        sentence);
});

const Registration stated("engine: a configuration that contradicts the tensors is refused", [] {
  StatedConfig settings;
  settings.num_classes = 80;
  check(contains(refused(ErrorCode::Checkpoint, [&] { cross_check(tiny_config(), settings); }), "num_classes is 80, but its tensors have 3"),
        "another sentence");
  settings.num_classes = 3;
  settings.num_stacks = 2;
  cross_check(tiny_config(), settings);
});

const Registration turns("nn: sizes that take turns pack the weights once each", [] {
  const c10::InferenceMode inference;
  const auto config = tiny_config(1);
  CornerNet network = network_of(config, draw_state_dict(config));
  network.prepare(at::kFloat, at::kCPU);
  const auto forward_all = [&] {
    const int64_t before = packed_layouts();
    for (const int64_t side : {63, 127, 191, 255, 319, 383, 447}) {
      network.forward(at::randn({1, 3, side, 127}).contiguous(at::MemoryFormat::ChannelsLast));
    }
    return packed_layouts() - before;
  };
  check(forward_all() > 0, "nothing was packed");
  check(forward_all() == 0, "weights were packed again");
});

/// Computes at once, and notes what a second stream would be asked.
class Noted : public Beside {
 public:
  at::Tensor begin(const at::Tensor&, const std::function<at::Tensor()>& work) override {
    check(!open, "two at a time");
    open = true;
    ++begun;
    return work();
  }
  void end() noexcept override { open = false; }

  bool open = false;
  int begun = 0;
};

const Registration around("nn: each stack's way around takes the second stream where one is offered, and gives it back whatever happens", [] {
  const c10::InferenceMode inference;
  at::manual_seed(6);
  const auto config = tiny_config();
  CornerNet network = network_of(config, draw_state_dict(config));
  network.prepare(at::kFloat, at::kCPU);
  const at::Tensor x = at::randn({1, 3, 127, 127}).contiguous(at::MemoryFormat::ChannelsLast);
  const HeadMaps alone = network.forward(x);
  Noted beside;
  {
    const Beside::Offer offer(beside);
    check(relative_difference(alone, network.forward(x)) == 0, "the maps are others");
    check(!beside.open && beside.begun == config.backbone.num_stacks, beside.begun, " times begun");
    const std::atomic<bool> given_up{true};
    {
      const Meanwhile asked(interrupt_flag, &given_up);
      refused(ErrorCode::Closed, [&] { network.forward(x); });
    }
    check(!beside.open, "work was left behind");
    network.forward(x);
    check(beside.begun >= 2 * config.backbone.num_stacks, "it was not given back");
  }
  network.forward(x);
  check(beside.begun < 3 * config.backbone.num_stacks, "it was taken after the offer");
});

const OnEveryDevice folded("nn: folding and packing leave the maps as they are, for odd sizes and sizes that change", [](at::Device device) {
  for (const Merging merging : {Merging::None, Merging::All}) check_folded(device, merging);
});
const Registration same_boxes("nn: boxes of padded maps, of which the heads give a part, are those of maps of their own", [] {
  const c10::InferenceMode inference;
  at::manual_seed(4);
  const auto config = tiny_config();
  const auto tensors = draw_state_dict(config);
  const at::Tensor x = at::randn({2, 3, 127, 255}).contiguous(at::MemoryFormat::ChannelsLast);
  const auto boxes = [&](Merging merging) {
    CornerNet network = network_of(config, tensors);
    network.prepare({.dtype = at::kFloat, .device = at::kCPU, .merging = merging});
    DecodeOptions options;
    options.distance_threshold = 100.f;
    return decode_corners(network.forward(x), {{4, 4, 0, 0}, {4, 4, 0, 0}}, options);
  };
  const DecodedViews apart = boxes(Merging::None), merged = boxes(Merging::All);
  for (size_t view = 0; view < 2; ++view) {
    const auto &a = apart[view].candidates, &b = merged[view].candidates;
    check(!a.empty() && a.size() == b.size(), a.size(), " boxes and ", b.size());
    // Another order of summation, as above; a score's sigmoid makes that smaller.
    for (size_t i = 0; i < a.size(); ++i) check(std::abs(a[i].score - b[i].score) < 2e-5, "score ", i, " is ", b[i].score, ", not ", a[i].score);
  }
});
const OnEveryDevice sixteen_bits("nn: 16-bit precisions stay near fp32", check_sixteen_bits);

}  // namespace
