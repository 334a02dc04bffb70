#include "nn/hourglass.h"

#include <ATen/ops/constant_pad_nd.h>

#include <algorithm>
#include <utility>

#include "nn/beside.h"
#include "nn/differentiable.h"
#include "ops/image_job.h"

namespace cornernet {
namespace {

/// With the 1 and the zeros behind its channels, where it has not got them yet and holds data.
at::Tensor padded(const at::Tensor& x, int64_t channels) {
  const int64_t own = x.size(1);
  if (own == channels || x.is_meta()) return x;
  const at::Tensor y = at::constant_pad_nd(x, {0, 0, 0, 0, 0, channels - own}).contiguous(at::MemoryFormat::ChannelsLast);
  y.select(1, own).fill_(1);
  return y;
}

std::string indexed(const std::string& prefix, const char* name, size_t index) { return prefix + name + "." + std::to_string(index) + "."; }

}  // namespace

HourglassModule::HourglassModule(const HourglassConfig& config, size_t stage)
    : up1_(config.stage_channels[stage], config.stage_channels[stage], config.stage_blocks[stage]),
      low1_(config.stage_channels[stage], config.stage_channels[stage + 1], config.stage_blocks[stage], /*stride=*/2),
      low3_(config.stage_channels[stage + 1], config.stage_channels[stage], config.stage_blocks[stage], 1, /*change_last=*/true) {
  if (stage + 2 < config.stage_channels.size()) {
    inner_ = std::make_unique<HourglassModule>(config, stage + 1);
  } else {
    bottom_ = std::make_unique<ResLayer>(config.stage_channels[stage + 1], config.stage_channels[stage + 1], config.stage_blocks[stage + 1]);
  }
}

void HourglassModule::visit(const std::string& prefix, const Visitor& visitor) {
  up1_.visit(prefix + "up1.", visitor);
  low1_.visit(prefix + "low1.", visitor);
  if (inner_) inner_->visit(prefix + "low2.", visitor);
  if (bottom_) bottom_->visit(prefix + "low2.", visitor);
  low3_.visit(prefix + "low3.", visitor);
  visitor.sum(prefix + "sum", sum_);
}

void HourglassModule::merge() {
  for (ResLayer* const layer : {&up1_, &low1_, &low3_}) layer->merge();
  if (inner_) inner_->merge();
  if (bottom_) bottom_->merge();
}

at::Tensor HourglassModule::forward(const at::Tensor& x) const {
  // The way around (up1) beside the way down, whose small maps leave most of a GPU idle: the outermost hourglass takes the second stream. Without
  // one, down first: the largest map held here is computed only when the deeper ones are gone.
  Fork around(x, [&] { return layer(up1_, x); });
  at::Tensor low = layer(low1_, x);
  low = inner_ ? inner_->forward(low) : layer(*bottom_, std::move(low));
  low = layer(low3_, std::move(low));
  return upsample_and_add(low, around.join(), sum_);
}

at::Tensor HourglassModule::layer(const ResLayer& blocks, at::Tensor x) const {
  return through([&blocks](at::Tensor input) { return blocks.forward(std::move(input)); }, std::move(x), recompute_);
}

void HourglassModule::set_recompute(bool recompute) {
  recompute_ = recompute;
  if (inner_) inner_->set_recompute(recompute);
}

HourglassNet::HourglassNet(const HourglassConfig& config)
    : stem_conv_(conv_module({3, config.stem_channels, 7, 2})), stem_layer_(config.stem_channels, config.stage_channels[0], 1, /*stride=*/2) {
  const int64_t width = config.stage_channels[0];
  const int64_t joints = config.num_stacks - 1;
  for (int64_t i = 0; i < config.num_stacks; ++i) {
    hourglass_modules_.emplace_back(config, 0);
    out_convs_.push_back(conv_module({width, config.feat_channels, 3}));
  }
  for (int64_t i = 0; i < joints; ++i) {
    conv1x1s_.push_back(conv_module({width, width, 1}, true, /*relu=*/false));
    remap_convs_.push_back(conv_module({config.feat_channels, width, 1}, true, /*relu=*/false));
  }
  for (int64_t i = 0; i < std::max<int64_t>(joints, 1); ++i) inters_.emplace_back(width, width, 1);
}

void HourglassNet::visit(const std::string& prefix, const Visitor& visitor, std::optional<size_t> level) {
  const size_t stacks = level ? *level + 1 : hourglass_modules_.size();
  visitor.conv(prefix + "stem.0.", stem_conv_);
  stem_layer_.visit(prefix + "stem.1.", visitor);
  for (size_t i = 0; i < stacks; ++i) hourglass_modules_[i].visit(indexed(prefix, "hourglass_modules", i), visitor);
  const size_t joints = level ? stacks - 1 : inters_.size();
  for (size_t i = 0; i < joints; ++i) inters_[i].visit(indexed(prefix, "inters", i), visitor);
  for (size_t i = 0; i < std::min(joints, conv1x1s_.size()); ++i) visitor.conv(indexed(prefix, "conv1x1s", i), conv1x1s_[i]);
  // Stacks before the read one hand on their features too, through remap_convs.
  for (size_t i = 0; i < stacks; ++i) visitor.conv(indexed(prefix, "out_convs", i), out_convs_[i]);
  for (size_t i = 0; i < std::min(joints, remap_convs_.size()); ++i) visitor.conv(indexed(prefix, "remap_convs", i), remap_convs_[i]);
}

void HourglassNet::set_recompute(bool recompute) {
  for (HourglassModule& module : hourglass_modules_) module.set_recompute(recompute);
}

void HourglassNet::merge(bool pad_input) {
  if (pad_input) stem_conv_.pad_inputs(kPaddedChannels);
  stem_layer_.merge();
  for (HourglassModule& stack : hourglass_modules_) stack.merge();
  for (BasicBlock& block : inters_) block.merge();
  for (size_t i = 0; i < conv1x1s_.size(); ++i) conv1x1s_[i].take_bias_of(remap_convs_[i]);
}

at::Tensor HourglassNet::forward(const at::Tensor& x, size_t level) const {
  at::Tensor last;
  forward_each(x, level + 1, [&](size_t i, at::Tensor features) {
    if (i == level) last = std::move(features);  // of the others nothing is held
  });
  return last;
}

void HourglassNet::forward_each(const at::Tensor& x, size_t stacks, const std::function<void(size_t, at::Tensor)>& take) const {
  at::Tensor inter = stem_layer_.forward(stem_conv_.forward(padded(x, input_channels())));
  for (size_t i = 0; i < stacks; ++i) {
    at::Tensor features = out_convs_[i].forward(hourglass_modules_[i].forward(inter));
    if (i + 1 < stacks) {
      inter = conv1x1s_[i].forward_add_relu(inter, remap_convs_[i].forward(features), /*over=*/true);
      inter = inters_[i].forward(inter);
    }
    take(i, std::move(features));
  }
}

}  // namespace cornernet
