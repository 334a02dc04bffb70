#include "train/beginning.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <unordered_map>

#include "runtime/error.h"
#include "train/learner.h"

namespace cornernet::train {
namespace {

/// Of a branch's last convolution: bbox_head.tl_off.0.1.conv.weight.
bool ends_branch(const std::string& name) { return name.starts_with("bbox_head.") && name.find(".1.conv.") != std::string::npos; }

/// Of the convolution that gives a heatmap its classes.
bool gives_classes(const std::string& name) {
  return ends_branch(name) && (name.starts_with("bbox_head.tl_heat.") || name.starts_with("bbox_head.br_heat."));
}

/// Draws tensors one after the other; the same for the same seed.
class Draw {
 public:
  explicit Draw(int64_t seed) : generator_(at::make_generator<at::CPUGeneratorImpl>(static_cast<uint64_t>(seed))) {}

  /// A bias needs its convolution's weight to come before it, as it does in a state dict.
  at::Tensor operator()(const Parameter& parameter) {
    if (parameter.optional) return at::zeros({}, at::kLong);
    const bool as_conv_module = parameter.name.starts_with("bbox_head.") && !ends_branch(parameter.name);
    if (parameter.shape.size() == 4) {
      const auto kernel = parameter.shape[2] * parameter.shape[3];
      if (as_conv_module) return normal(parameter, std::sqrt(2. / static_cast<double>(parameter.shape[0] * kernel)));
      bound_ = 1 / std::sqrt(static_cast<double>(parameter.shape[1] * kernel));
      return uniform(parameter);
    }
    const bool is_bias = parameter.name.ends_with(".bias");
    if (is_bias && gives_classes(parameter.name)) return at::full(parameter.shape, -std::log((1 - kSaid) / kSaid), at::kFloat);
    if (is_bias && parameter.name.ends_with(".conv.bias") && !as_conv_module) return uniform(parameter);
    const bool is_scale = parameter.name.ends_with(".weight") || parameter.name.ends_with(".running_var");
    return is_scale ? at::ones(parameter.shape, at::kFloat) : at::zeros(parameter.shape, at::kFloat);
  }

 private:
  static constexpr double kSaid = 0.1;
  at::Tensor normal(const Parameter& parameter, double deviation) { return at::empty(parameter.shape, at::kFloat).normal_(0, deviation, generator_); }
  at::Tensor uniform(const Parameter& parameter) { return at::empty(parameter.shape, at::kFloat).uniform_(-bound_, bound_, generator_); }

  at::Generator generator_;
  double bound_ = 0;
};

bool same_classes(const Checkpoint& checkpoint, const std::vector<std::string>& classes, int64_t held) {
  if (held != static_cast<int64_t>(classes.size())) return false;
  return checkpoint.meta.classes.empty() || checkpoint.meta.classes == classes;
}

/// The file's optimizer counts its parameters in the file's order of tensors.
std::map<int64_t, AdamMoments> moments_of(const Checkpoint& checkpoint, const std::vector<Parameter>& parameters) {
  std::map<int64_t, AdamMoments> moments;
  std::unordered_map<std::string, int64_t> places;
  for (const Parameter& parameter : parameters) {
    if (!parameter.statistic) places.emplace(parameter.name, static_cast<int64_t>(places.size()));
  }
  int64_t in_file = 0;
  for (const auto& [name, tensor] : checkpoint.tensors) {
    const auto place = places.find(name);
    if (place == places.end()) continue;
    const auto found = checkpoint.moments.find(in_file++);
    if (found == checkpoint.moments.end()) continue;
    const auto& [steps, exp_avg, exp_avg_sq] = found->second;
    if (exp_avg.sizes() != tensor.sizes() || exp_avg_sq.sizes() != tensor.sizes()) {
      refuse_checkpoint("the optimizer's state for " + name + " has another shape than the tensor");
    }
    // Means of squares; a count.
    if (!(steps >= 0) || exp_avg_sq.lt(0).any().item<bool>()) refuse_checkpoint("the optimizer's state for " + name + " is below 0");
    moments.emplace(place->second, found->second);
  }
  return moments;
}

}  // namespace

Beginning draw_beginning(const Architecture& architecture, int64_t classes, int64_t seed) {
  Beginning beginning;
  auto& [backbone, head] = beginning.config;
  backbone.num_stacks = architecture.stacks;
  backbone.stem_channels = architecture.stem_channels;
  backbone.feat_channels = architecture.feat_channels;
  backbone.stage_channels.assign(architecture.stage_channels.begin(), architecture.stage_channels.end());
  backbone.stage_blocks.assign(architecture.stage_blocks.begin(), architecture.stage_blocks.end());
  head = {classes, architecture.feat_channels, architecture.pool_channels, architecture.branch_channels, architecture.stacks};
  CornerNet network(beginning.config);
  Draw draw(seed);
  for (const Parameter& parameter : in_mmdetection_order(network)) beginning.tensors.emplace_back(parameter.name, draw(parameter));
  return beginning;
}

Beginning take_over(const Checkpoint& checkpoint, const std::vector<std::string>& classes, int64_t seed) {
  Beginning beginning;
  beginning.config = derive_architecture(checkpoint.tensors);
  {
    CornerNet as_it_is(beginning.config);
    assign_parameters(as_it_is, checkpoint.tensors);  // refuses what does not fit
  }
  const bool same = same_classes(checkpoint, classes, beginning.config.head.num_classes);
  beginning.config.head.num_classes = static_cast<int64_t>(classes.size());
  CornerNet network(beginning.config);
  const std::vector<Parameter> parameters = in_mmdetection_order(network);
  const std::unordered_map<std::string, at::Tensor> by_name(checkpoint.tensors.begin(), checkpoint.tensors.end());
  Draw draw(seed);
  for (const Parameter& parameter : parameters) {
    const at::Tensor drawn = draw(parameter);
    const auto found = by_name.find(parameter.name);
    const bool taken = found != by_name.end() && (same || !gives_classes(parameter.name));
    if (taken) {
      if (!is_sound(found->second))
        refuse_checkpoint(parameter.name + " holds numbers that are not finite, or 2^" + std::to_string(kNumbersBelow) + " and more");
      drawn.copy_(found->second);
    }
    if (!taken && !parameter.optional) beginning.drawn.push_back(parameter.name);
    beginning.tensors.emplace_back(parameter.name, drawn);
  }
  if (!beginning.drawn.empty()) return beginning;
  beginning.moments = moments_of(checkpoint, parameters);
  // A factor that fell to nothing is none to go on with.
  if (const auto& scaling = checkpoint.loss_scaling; scaling && scaling->factor > 0 && std::isfinite(scaling->factor) && scaling->borne >= 0)
    beginning.loss_scaling = scaling;
  return beginning;
}

}  // namespace cornernet::train
