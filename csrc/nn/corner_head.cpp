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

void BiCornerPool::visit(const std::string& prefix, const ConvVisitor& visitor) {
  visitor(prefix + "direction1_conv.", direction1_conv_);
  visitor(prefix + "direction2_conv.", direction2_conv_);
  visitor(prefix + "aftpool_conv.", aftpool_conv_);
  visitor(prefix + "conv1.", conv1_);
  visitor(prefix + "conv2.", conv2_);
}

at::Tensor BiCornerPool::forward(const at::Tensor& x) const {
  const at::Tensor pooled = pool_and_add(direction1_conv_.forward(x), vertical_, direction2_conv_.forward(x), horizontal_);
  return conv2_.forward(aftpool_conv_.forward_add_relu_over(pooled, conv1_.forward(x)));
}

Branch::Branch(int64_t in_channels, int64_t branch_channels, int64_t out_channels)
    : conv_(conv_module({in_channels, branch_channels, 3}, /*norm=*/false)),
      out_(conv_module({branch_channels, out_channels, 1}, /*norm=*/false, /*relu=*/false)) {}

void Branch::visit(const std::string& prefix, const ConvVisitor& visitor) {
  visitor(prefix + "0.", conv_);
  visitor(prefix + "1.", out_);
}

at::Tensor Branch::forward(const at::Tensor& x) const { return out_.forward(conv_.forward(x)); }

CornerHeadLevel::CornerHeadLevel(const CornerHeadConfig& config)
    : tl_pool_(config, Direction::Top, Direction::Left),
      br_pool_(config, Direction::Bottom, Direction::Right),
      tl_heat_(config.in_channels, config.branch_channels, config.num_classes),
      br_heat_(config.in_channels, config.branch_channels, config.num_classes),
      tl_off_(config.in_channels, config.branch_channels, 2),
      br_off_(config.in_channels, config.branch_channels, 2),
      tl_emb_(config.in_channels, config.branch_channels, 1),
      br_emb_(config.in_channels, config.branch_channels, 1) {}

void CornerHeadLevel::visit(const std::string& prefix, size_t level, const ConvVisitor& visitor) {
  const auto key = [&](const char* name) { return prefix + name + "." + std::to_string(level) + "."; };
  tl_pool_.visit(key("tl_pool"), visitor);
  br_pool_.visit(key("br_pool"), visitor);
  tl_heat_.visit(key("tl_heat"), visitor);
  br_heat_.visit(key("br_heat"), visitor);
  tl_off_.visit(key("tl_off"), visitor);
  br_off_.visit(key("br_off"), visitor);
  tl_emb_.visit(key("tl_emb"), visitor);
  br_emb_.visit(key("br_emb"), visitor);
}

CornerMaps CornerHeadLevel::forward(const at::Tensor& features) const {
  CornerMaps maps;
  {
    const at::Tensor tl = tl_pool_.forward(features);
    maps.tl_heat = tl_heat_.forward(tl);
    maps.tl_emb = tl_emb_.forward(tl);
    maps.tl_off = tl_off_.forward(tl);
  }
  const at::Tensor br = br_pool_.forward(features);
  maps.br_heat = br_heat_.forward(br);
  maps.br_emb = br_emb_.forward(br);
  maps.br_off = br_off_.forward(br);
  return maps;
}

}  // namespace cornernet
