// The whole network: backbone and head, read from a checkpoint's tensors, prepared for a device, run.
#pragma once
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "nn/corner_head.h"
#include "nn/hourglass.h"
#include "ops/work.h"

namespace cornernet {

struct CornerNetConfig {
  HourglassConfig backbone;
  CornerHeadConfig head;
};

class CornerNet {
 public:
  explicit CornerNet(const CornerNetConfig& config);

  /// Every tensor of the state dict and where it goes, the ones that inference never reads included.
  std::vector<Parameter> parameters();
  /// Folds, casts and packs what inference runs for `device`, and releases everything else. Needs every parameter.
  /// Throws Error(Checkpoint) when `how.int8` makes no network that can run.
  void prepare(const Preparation& how);
  void prepare(at::ScalarType dtype, at::Device device) { prepare({.dtype = dtype, .device = device}); }
  /// Each convolution that inference runs, and each sum of maps, by name.
  struct Parts {
    std::vector<std::pair<std::string, NormedConv*>> convs;
    std::vector<std::pair<std::string, Activation*>> sums;
  };
  Parts parts();
  /// x: [N, 3, H, W] as ops/image.h makes it. The last level's maps, [N, channels, (H + 3) / 4, (W + 3) / 4].
  HeadMaps forward(const at::Tensor& x) const;
  /// Before prepare(): forward and backward. differentiate(maps) is called for each level and does its backward, before the next level is computed,
  /// so that one level's activations are there at a time; then the backbone's backward follows.
  void learn(const at::Tensor& x, const std::function<void(const HeadMaps&)>& differentiate) const;
  /// Before prepare(): which norms take their batch's statistics (NormedConv::set_training).
  void set_training(bool backbone, bool head);
  /// Before prepare(): whether the hourglasses' activations are computed again on the way back instead of kept.
  void set_recompute(bool recompute) { backbone_.set_recompute(recompute); }
  /// What a forward of [views, 3, height, width] in `dtype` has to do, operator by operator in their order; needs no parameter and computes nothing.
  std::vector<Work> work(int64_t views, int64_t height, int64_t width, at::ScalarType dtype) const;
  /// Of what forward() reads without another pass over it: 3, or kPaddedChannels (ops/image_job.h); it pads three itself.
  int64_t input_channels() const { return backbone_.input_channels(); }
  /// Of the packed network.
  int64_t weight_bytes() const { return weight_bytes_; }

 private:
  /// Runs without data through the types that the layers are prepared for.
  void check_types(at::ScalarType dtype) const;

  HourglassNet backbone_;
  std::vector<CornerHeadLevel> head_;
  /// mmdetection pairs feature maps with head levels and reads the last pair's predictions only.
  size_t last_level_;
  int64_t weight_bytes_ = 0;
};

}  // namespace cornernet
