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
  /// After prepare().
  void merge();
  at::Tensor forward(const at::Tensor& x) const;

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
  /// After prepare().
  void merge();
  at::Tensor forward(const at::Tensor& x) const;

 private:
  NormedConv conv_, out_;
};

/// One kind of corner's predictions.
class CornerBranches {
 public:
  CornerBranches(const CornerHeadConfig& config, Direction vertical, Direction horizontal);
  /// Keys hold the level's index in their middle: bbox_head.tl_pool.<level>.conv1...
  void visit(const std::string& prefix, size_t level, const Visitor& visitor);
  /// After prepare().
  void merge();
  CornerMaps forward(const at::Tensor& features) const;

 private:
  BiCornerPool pool_;
  Branch heat_, emb_, off_;
};

/// The predictions of one level, one feature map of the backbone each.
class CornerHeadLevel {
 public:
  explicit CornerHeadLevel(const CornerHeadConfig& config)
      : tl_(config, Direction::Top, Direction::Left), br_(config, Direction::Bottom, Direction::Right) {}
  void visit(const std::string& prefix, size_t level, const Visitor& visitor) {
    tl_.visit(prefix + "tl_", level, visitor);
    br_.visit(prefix + "br_", level, visitor);
  }
  /// After prepare().
  void merge() {
    tl_.merge();
    br_.merge();
  }
  /// features: [N, in_channels, h, w].
  HeadMaps forward(const at::Tensor& features) const { return {tl_.forward(features), br_.forward(features)}; }

 private:
  CornerBranches tl_, br_;
};

}  // namespace cornernet
