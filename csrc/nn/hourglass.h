// The stacked hourglass backbone.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "nn/layers.h"

namespace cornernet {

/// What distinguishes one hourglass network from another; HourglassNet-104 is the default.
struct HourglassConfig {
  int64_t num_stacks = 2;
  int64_t stem_channels = 128;
  int64_t feat_channels = 256;
  /// One entry a resolution, the full one first: depth + 1 of them.
  std::vector<int64_t> stage_channels{256, 256, 384, 384, 384, 512};
  std::vector<int64_t> stage_blocks{2, 2, 2, 2, 2, 4};
};

/// One resolution of an hourglass: around (up1), and down, through the next resolution and up again (low1, low2, low3).
class HourglassModule {
 public:
  HourglassModule(const HourglassConfig& config, size_t stage);
  void visit(const std::string& prefix, const Visitor& visitor);
  void merge();
  at::Tensor forward(const at::Tensor& x) const;
  void set_recompute(bool recompute);

 private:
  at::Tensor layer(const ResLayer& blocks, at::Tensor x) const;

  bool recompute_ = false;
  ResLayer up1_, low1_;
  std::unique_ptr<HourglassModule> inner_;  // low2, unless this is the bottom
  std::unique_ptr<ResLayer> bottom_;        // low2 at the bottom
  ResLayer low3_;
  Activation sum_;
};

class HourglassNet {
 public:
  explicit HourglassNet(const HourglassConfig& config);
  /// The modules that forward(x, level) runs, or with no level every module of the state dict.
  void visit(const std::string& prefix, const Visitor& visitor, std::optional<size_t> level = std::nullopt);
  /// After prepare(): the biases of results that are added are added where that happens. With `pad_input` the stem reads kPaddedChannels.
  void merge(bool pad_input);
  /// Of the input that it reads (ops/image_job.h): 3, or kPaddedChannels.
  int64_t input_channels() const { return stem_conv_.in_channels(); }
  /// x: [N, 3, H, W]. The features of stack `level` (0 is the first): [N, feat_channels, (H + 3) / 4, (W + 3) / 4].
  at::Tensor forward(const at::Tensor& x, size_t level) const;
  /// Before prepare(): whether the layers of the hourglasses are computed again on the way back instead of kept.
  void set_recompute(bool recompute);
  /// Calls take(stack, features) for each of the first `stacks`, in their order.
  void forward_each(const at::Tensor& x, size_t stacks, const std::function<void(size_t, at::Tensor)>& take) const;

 private:
  NormedConv stem_conv_;
  ResLayer stem_layer_;
  std::vector<HourglassModule> hourglass_modules_;
  std::vector<BasicBlock> inters_;  // one between two stacks each; a one-stack network carries an unused one
  std::vector<NormedConv> conv1x1s_, out_convs_, remap_convs_;
};

}  // namespace cornernet
