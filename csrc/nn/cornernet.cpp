#include "nn/cornernet.h"

#include <algorithm>
#include <unordered_set>

namespace cornernet {

CornerNet::CornerNet(const CornerNetConfig& config)
    : backbone_(config.backbone), last_level_(static_cast<size_t>(std::min(config.backbone.num_stacks, config.head.num_levels)) - 1) {
  for (int64_t i = 0; i < config.head.num_levels; ++i) head_.emplace_back(config.head);
}

std::vector<Parameter> CornerNet::parameters() {
  std::vector<Parameter> parameters;
  const ConvVisitor collect = [&](const std::string& prefix, NormedConv& conv) { conv.collect(prefix, parameters); };
  backbone_.visit("backbone.", collect);
  for (size_t i = 0; i < head_.size(); ++i) head_[i].visit("bbox_head.", i, collect);
  return parameters;
}

void CornerNet::prepare(at::ScalarType dtype, at::Device device) {
  weight_bytes_ = 0;
  std::unordered_set<const NormedConv*> used;
  const ConvVisitor pack = [&](const std::string&, NormedConv& conv) {
    conv.prepare(dtype, device);
    weight_bytes_ += conv.weight_bytes();
    used.insert(&conv);
  };
  backbone_.visit("", pack, last_level_);
  head_[last_level_].visit("", last_level_, pack);
  const ConvVisitor drop_unused = [&](const std::string&, NormedConv& conv) {
    if (!used.contains(&conv)) conv.release();
  };
  backbone_.visit("", drop_unused);
  for (size_t i = 0; i < head_.size(); ++i) head_[i].visit("", i, drop_unused);
}

CornerMaps CornerNet::forward(const at::Tensor& x) const { return head_[last_level_].forward(backbone_.forward(x, last_level_)); }

}  // namespace cornernet
