// CornerNet's head: corner pooling and, for each corner, the branches that predict heatmap, embedding and offset.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "nn/layers.h"
#include "ops/corner_decode.h"
#include "ops/corner_pool.h"

namespace cornernet {

struct CornerHeadConfig {
  int64_t num_classes = 80;
  int64_t in_channels = 256;
  int64_t pool_channels = 128;    // between the two directions' convolutions and the pooling
  int64_t branch_channels = 256;  // between a branch's two convolutions
  int64_t num_levels = 2;
};

/// Pools one corner's two directions and brings the result back to the input's width.
class BiCornerPool {
 public:
  BiCornerPool(const CornerHeadConfig& config, Direction vertical, Direction horizontal);
  void visit(const std::string& prefix, const Visitor& visitor);
  /// After prepare(): the two directions' convolutions are somebody else's from then on.
  void merge();
  std::vector<NormedConv*> directions() { return {&direction1_conv_, &direction2_conv_}; }
  at::Tensor forward(const at::Tensor& x) const;
  /// Of what the directions' convolutions make of x.
  at::Tensor forward(const at::Tensor& x, const at::Tensor& direction1, const at::Tensor& direction2) const;

 private:
  Direction vertical_, horizontal_;
  NormedConv direction1_conv_, direction2_conv_, aftpool_conv_, conv1_, conv2_;
  Activation pooled_;
};

/// A 3x3 convolution with ReLU and a 1x1 convolution, both with a bias and no norm.
class Branch {
 public:
  Branch(int64_t in_channels, int64_t branch_channels, int64_t out_channels);
  void visit(const std::string& prefix, const Visitor& visitor);
  at::Tensor forward(const at::Tensor& x) const;
  NormedConv& conv() { return conv_; }
  NormedConv& out() { return out_; }

 private:
  NormedConv conv_, out_;
};

/// One kind of corner's predictions.
class CornerBranches {
 public:
  CornerBranches(const CornerHeadConfig& config, Direction vertical, Direction horizontal);
  /// Keys hold the level's index in their middle: bbox_head.tl_pool.<level>.conv1...
  void visit(const std::string& prefix, size_t level, const Visitor& visitor);
  /// After prepare(): the three branches become one. Their first convolutions read the same map, and their outputs are channels of one map.
  void merge();
  /// Of what merge() made.
  int64_t weight_bytes() const { return convs_.weight_bytes() + outs_.weight_bytes(); }
  std::vector<NormedConv*> directions() { return pool_.directions(); }
  CornerMaps forward(const at::Tensor& features) const { return predict(pool_.forward(features)); }
  CornerMaps forward(const at::Tensor& features, const at::Tensor& direction1, const at::Tensor& direction2) const {
    return predict(pool_.forward(features, direction1, direction2));
  }

 private:
  CornerMaps predict(const at::Tensor& pooled) const;

  int64_t num_classes_;
  BiCornerPool pool_;
  Branch heat_, emb_, off_;
  PackedConv convs_, outs_;  // the branches' first and second convolutions, merged
};

/// The predictions of one level, one feature map of the backbone each.
class CornerHeadLevel {
 public:
  explicit CornerHeadLevel(const CornerHeadConfig& config)
      : tl_(config, Direction::Top, Direction::Left), br_(config, Direction::Bottom, Direction::Right), pool_channels_(config.pool_channels) {}
  void visit(const std::string& prefix, size_t level, const Visitor& visitor) {
    tl_.visit(prefix + "tl_", level, visitor);
    br_.visit(prefix + "br_", level, visitor);
  }
  /// After prepare(): the four directions' convolutions become one, and so do each corner's branches.
  void merge();
  /// Of what merge() made.
  int64_t weight_bytes() const { return directions_.weight_bytes() + tl_.weight_bytes() + br_.weight_bytes(); }
  /// features: [N, in_channels, h, w].
  HeadMaps forward(const at::Tensor& features) const;

 private:
  CornerBranches tl_, br_;
  int64_t pool_channels_;
  PackedConv directions_;  // top, left, bottom, right, merged
};

}  // namespace cornernet
