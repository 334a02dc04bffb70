#include "nn/cornernet.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <atomic>
#include <unordered_set>
#include <utility>

#include "nn/work_log.h"
#include "runtime/error.h"
#include "runtime/interrupt.h"

namespace cornernet {
namespace {

/// Every thread takes the next convolution that nobody has: they differ in size by a thousand times, and a team for each would mostly wait.
void prepare_each(const std::vector<std::pair<std::string, NormedConv*>>& convs, const Preparation& how) {
  std::atomic<size_t> next{0};
  const bool inference = c10::InferenceMode::is_enabled();  // it is per thread
  const int64_t threads = how.device.is_cpu() ? at::get_num_threads() : 1;
  const InterruptFlag interrupted = interrupt_flag;
  at::parallel_for(0, threads, 1, [&](int64_t, int64_t) {
    const c10::InferenceMode mode(inference);
    for (size_t i = next++; i < convs.size(); i = next++) {
      check_interrupted(interrupted);
      convs[i].second->prepare(convs[i].first, how);
    }
  });
}

}  // namespace

CornerNet::CornerNet(const CornerNetConfig& config)
    : backbone_(config.backbone), last_level_(static_cast<size_t>(std::min(config.backbone.num_stacks, config.head.num_levels)) - 1) {
  for (int64_t i = 0; i < config.head.num_levels; ++i) head_.emplace_back(config.head);
}

std::vector<Parameter> CornerNet::parameters() {
  std::vector<Parameter> parameters;
  const Visitor collect{[&](const std::string& prefix, NormedConv& conv) { conv.collect(prefix, parameters); }};
  backbone_.visit("backbone.", collect);
  for (size_t i = 0; i < head_.size(); ++i) head_[i].visit("bbox_head.", i, collect);
  return parameters;
}

CornerNet::Parts CornerNet::parts() {
  Parts parts;
  const Visitor note{[&](const std::string& prefix, NormedConv& conv) { parts.convs.emplace_back(prefix, &conv); },
                     [&](const std::string& name, Activation& sum) { parts.sums.emplace_back(name, &sum); }};
  backbone_.visit("backbone.", note, last_level_);
  head_[last_level_].visit("bbox_head.", last_level_, note);
  return parts;
}

void CornerNet::prepare(const Preparation& how) {
  const Parts used = parts();
  std::unordered_set<const NormedConv*> kept;
  for (const auto& [prefix, conv] : used.convs) kept.insert(conv);
  const Visitor drop_unused{[&](const std::string&, NormedConv& conv) {
    if (!kept.contains(&conv)) conv.release();
  }};
  backbone_.visit("", drop_unused);
  for (size_t i = 0; i < head_.size(); ++i) head_[i].visit("", i, drop_unused);
  for (const auto& [name, sum] : used.sums) sum->prepare(name, how.dtype, how.stated(name).output_scale);
  prepare_each(used.convs, how);
  if (how.merging.value_or(how.device.is_cuda() ? Merging::All : Merging::None) == Merging::All) {
    backbone_.merge(/*pad_input=*/c10::elementSize(how.dtype) == 2);
    head_[last_level_].merge();
  }
  weight_bytes_ = 0;
  for (const auto& [prefix, conv] : used.convs) weight_bytes_ += conv->weight_bytes();
  if (how.int8) check_types(how.dtype);
}

void CornerNet::check_types(at::ScalarType dtype) const {
  constexpr int64_t kSidePx = 127;
  const HeadMaps maps = forward(at::empty({1, 3, kSidePx, kSidePx}, at::TensorOptions(dtype).device(at::kMeta)));
  for (const CornerMaps& corner : {maps.tl, maps.br}) {
    for (const at::Tensor& map : {corner.heat, corner.emb, corner.off}) {
      if (in_8_bits(map)) refuse_checkpoint("its quantization has an output_scale for a map that the heads give");
    }
  }
}

HeadMaps CornerNet::forward(const at::Tensor& x) const { return head_[last_level_].forward(backbone_.forward(x, last_level_)); }

void CornerNet::learn(const at::Tensor& x, const std::function<void(const HeadMaps&)>& differentiate) const {
  std::vector<at::Tensor> ends, gradients;
  backbone_.forward_each(x, last_level_ + 1, [&](size_t i, const at::Tensor& features) {
    const at::Tensor seen = features.detach().requires_grad_(features.requires_grad());
    differentiate(head_[i].forward(seen));
    if (!seen.grad().defined()) return;
    ends.push_back(features);
    gradients.push_back(seen.grad());
  });
  if (!ends.empty()) torch::autograd::backward(ends, gradients);
}

void CornerNet::set_training(bool backbone, bool head) {
  const auto tell = [](bool training) { return Visitor{[=](const std::string&, NormedConv& conv) { conv.set_training(training); }}; };
  backbone_.visit("", tell(backbone));
  for (size_t i = 0; i < head_.size(); ++i) head_[i].visit("", i, tell(head));
}

std::vector<Work> CornerNet::work(int64_t views, int64_t height, int64_t width, at::ScalarType dtype) const {
  return log_work([&] { forward(at::empty({views, 3, height, width}, at::TensorOptions(dtype).device(at::kMeta))); });
}

}  // namespace cornernet
