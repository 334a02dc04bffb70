#include "nn/corner_head.h"

#include "nn/differentiable.h"

namespace cornernet {

BiCornerPool::BiCornerPool(const CornerHeadConfig& config, Direction vertical, Direction horizontal)
    : vertical_(vertical),
      horizontal_(horizontal),
      direction1_conv_(conv_module({config.in_channels, config.pool_channels, 3})),
      direction2_conv_(conv_module({config.in_channels, config.pool_channels, 3})),
      aftpool_conv_(conv_module({config.pool_channels, config.in_channels, 3}, true, /*relu=*/false)),
      conv1_(conv_module({config.in_channels, config.in_channels, 1}, true, /*relu=*/false)),
      conv2_(conv_module({config.in_channels, config.in_channels, 3})) {}

void BiCornerPool::visit(const std::string& prefix, const Visitor& visitor) {
  visitor.conv(prefix + "direction1_conv.", direction1_conv_);
  visitor.conv(prefix + "direction2_conv.", direction2_conv_);
  visitor.conv(prefix + "aftpool_conv.", aftpool_conv_);
  visitor.conv(prefix + "conv1.", conv1_);
  visitor.conv(prefix + "conv2.", conv2_);
  visitor.sum(prefix + "pooled", pooled_);
}

void BiCornerPool::merge() {
  aftpool_conv_.take_bias_of(conv1_);
  direction1_conv_.release_packed();
  direction2_conv_.release_packed();
}

at::Tensor BiCornerPool::forward(const at::Tensor& x) const { return forward(x, direction1_conv_.forward(x), direction2_conv_.forward(x)); }

at::Tensor BiCornerPool::forward(const at::Tensor& x, const at::Tensor& direction1, const at::Tensor& direction2) const {
  const at::Tensor pooled = pool_and_add(direction1, vertical_, direction2, horizontal_, pooled_);
  return conv2_.forward(aftpool_conv_.forward_add_relu_over(pooled, conv1_.forward(x)));
}

Branch::Branch(int64_t in_channels, int64_t branch_channels, int64_t out_channels)
    : conv_(conv_module({in_channels, branch_channels, 3}, /*norm=*/false)),
      out_(conv_module({branch_channels, out_channels, 1}, /*norm=*/false, /*relu=*/false)) {}

void Branch::visit(const std::string& prefix, const Visitor& visitor) {
  visitor.conv(prefix + "0.", conv_);
  visitor.conv(prefix + "1.", out_);
}

at::Tensor Branch::forward(const at::Tensor& x) const { return out_.forward(conv_.forward(x)); }

CornerBranches::CornerBranches(const CornerHeadConfig& config, Direction vertical, Direction horizontal)
    : num_classes_(config.num_classes),
      pool_(config, vertical, horizontal),
      heat_(config.in_channels, config.branch_channels, config.num_classes),
      emb_(config.in_channels, config.branch_channels, 1),
      off_(config.in_channels, config.branch_channels, 2) {}

void CornerBranches::visit(const std::string& prefix, size_t level, const Visitor& visitor) {
  const std::string index = std::to_string(level) + ".";
  pool_.visit(prefix + "pool." + index, visitor);
  heat_.visit(prefix + "heat." + index, visitor);
  emb_.visit(prefix + "emb." + index, visitor);
  off_.visit(prefix + "off." + index, visitor);
}

void CornerBranches::merge() {
  pool_.merge();
  constexpr int64_t kOutputs = 8;  // the heatmap's pixels stay aligned for packs of 16 bytes, and the matrix units take no fewer
  convs_ = PackedConv::merged({&heat_.conv().packed(), &emb_.conv().packed(), &off_.conv().packed()}, /*diagonal=*/false);
  outs_ = PackedConv::merged({&heat_.out().packed(), &emb_.out().packed(), &off_.out().packed()}, /*diagonal=*/true, kOutputs);
  for (Branch* const branch : {&heat_, &emb_, &off_}) {
    branch->conv().release_packed();
    branch->out().release_packed();
  }
}

CornerMaps CornerBranches::predict(const at::Tensor& pooled) const {
  if (outs_.defined() && !pooled.is_meta()) {
    const at::Tensor maps = outs_.forward(convs_.forward(pooled, /*relu=*/true), /*relu=*/false);
    return {maps.narrow(1, 0, num_classes_), maps.narrow(1, num_classes_, 1), maps.narrow(1, num_classes_ + 1, 2)};
  }
  return {heat_.forward(pooled), emb_.forward(pooled), off_.forward(pooled)};
}

void CornerHeadLevel::merge() {
  std::vector<const PackedConv*> directions;
  for (CornerBranches* const corner : {&tl_, &br_}) {
    for (const NormedConv* const conv : corner->directions()) directions.push_back(&conv->packed());
  }
  directions_ = PackedConv::merged(directions, /*diagonal=*/false);
  tl_.merge();
  br_.merge();
}

HeadMaps CornerHeadLevel::forward(const at::Tensor& features) const {
  if (!directions_.defined() || features.is_meta()) return {tl_.forward(features), br_.forward(features)};
  const at::Tensor maps = directions_.forward(features, /*relu=*/true);
  const auto direction = [&](int64_t i) { return maps.narrow(1, i * pool_channels_, pool_channels_); };
  return {tl_.forward(features, direction(0), direction(1)), br_.forward(features, direction(2), direction(3))};
}

}  // namespace cornernet
