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

void BiCornerPool::merge() { aftpool_conv_.take_bias_of(conv1_); }

at::Tensor BiCornerPool::forward(const at::Tensor& x) const {
  const at::Tensor pooled = pool_and_add(direction1_conv_.forward(x), vertical_, direction2_conv_.forward(x), horizontal_, pooled_);
  return conv2_.forward(aftpool_conv_.forward_add_relu(pooled, conv1_.forward(x), /*over=*/true));
}

Branch::Branch(int64_t in_channels, int64_t branch_channels, int64_t out_channels)
    : conv_(conv_module({in_channels, branch_channels, 3}, /*norm=*/false)),
      out_(conv_module({branch_channels, out_channels, 1}, /*norm=*/false, /*relu=*/false)) {}

void Branch::visit(const std::string& prefix, const Visitor& visitor) {
  visitor.conv(prefix + "0.", conv_);
  visitor.conv(prefix + "1.", out_);
}

void Branch::merge() {
  constexpr int64_t kOutputs = 8;  // pixels stay aligned for packs of 16 bytes, and the matrix units take no fewer
  out_.pad_outputs(kOutputs);
}

at::Tensor Branch::forward(const at::Tensor& x) const {
  const at::Tensor y = out_.forward(conv_.forward(x));
  const int64_t outputs = out_.dimensions().out_channels;
  return y.size(1) > outputs ? y.narrow(1, 0, outputs) : y;
}

CornerBranches::CornerBranches(const CornerHeadConfig& config, Direction vertical, Direction horizontal)
    : pool_(config, vertical, horizontal),
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
  for (Branch* const branch : {&heat_, &emb_, &off_}) branch->merge();
}

CornerMaps CornerBranches::forward(const at::Tensor& features) const {
  const at::Tensor pooled = pool_.forward(features);
  return {heat_.forward(pooled), emb_.forward(pooled), off_.forward(pooled)};
}

}  // namespace cornernet
