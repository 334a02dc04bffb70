#include "engine/architecture.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <map>
#include <numeric>
#include <optional>
#include <sstream>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "runtime/error.h"

namespace cornernet {
namespace {

// Bounds that no CornerNet comes near; they keep a hostile file from asking for a network of absurd size.
constexpr int64_t kMaxStacks = 64, kMaxDepth = 16, kMaxBlocks = 256;

[[noreturn]] void refuse(const std::string& sentence) { refuse_checkpoint("this is not a CornerNet checkpoint: " + sentence); }

std::string shape_text(at::IntArrayRef shape) {
  std::ostringstream text;
  text << '[';
  for (size_t i = 0; i < shape.size(); ++i) text << (i ? ", " : "") << shape[i];
  text << ']';
  return text.str();
}

/// Answers which keys there are and what shape a convolution's weight has.
class KeyIndex {
 public:
  explicit KeyIndex(const NamedTensors& tensors) {
    for (const auto& [name, tensor] : tensors) shapes_.emplace(name, tensor.sizes());
  }
  bool has_module(const std::string& prefix) const {
    const auto first = shapes_.lower_bound(prefix);
    return first != shapes_.end() && first->first.starts_with(prefix);
  }
  size_t size() const { return shapes_.size(); }

  /// How many of prefix0., prefix1., ... there are.
  int64_t count(const std::string& prefix, int64_t limit) const {
    int64_t n = 0;
    while (n <= limit && has_module(prefix + std::to_string(n) + ".")) ++n;
    if (n == 0) refuse("it has no " + prefix + "0.*");
    if (n > limit) refuse("it has more than " + std::to_string(limit) + " modules " + prefix + "*");
    return n;
  }

  /// The [out, in, k, k] of a convolution's weight.
  at::IntArrayRef conv_shape(const std::string& module) const {
    const auto found = shapes_.find(module + ".weight");
    if (found == shapes_.end()) refuse("it has no " + module + ".weight");
    if (found->second.size() != 4) refuse(module + ".weight has shape " + shape_text(found->second) + ", not that of a 2-d convolution");
    for (const int64_t size : found->second) {
      if (size < 1) refuse(module + ".weight has shape " + shape_text(found->second));
    }
    return found->second;
  }

 private:
  std::map<std::string_view, at::IntArrayRef, std::less<>> shapes_;  // views of the tensors' own
};

HourglassConfig derive_backbone(const KeyIndex& keys) {
  HourglassConfig config;
  config.num_stacks = keys.count("backbone.hourglass_modules.", kMaxStacks);
  config.stem_channels = keys.conv_shape("backbone.stem.0.conv")[0];
  config.feat_channels = keys.conv_shape("backbone.out_convs.0.conv")[0];
  config.stage_channels.clear();
  config.stage_blocks.clear();
  std::string stage = "backbone.hourglass_modules.0.";
  for (int64_t depth = 0;; ++depth) {
    if (depth == kMaxDepth) refuse("its hourglass is nested more than " + std::to_string(kMaxDepth) + " deep");
    config.stage_blocks.push_back(keys.count(stage + "up1.", kMaxBlocks));
    config.stage_channels.push_back(keys.conv_shape(stage + "up1.0.conv1")[0]);
    stage += "low2.";
    if (!keys.has_module(stage + "up1.")) break;
  }
  config.stage_blocks.push_back(keys.count(stage, kMaxBlocks));
  config.stage_channels.push_back(keys.conv_shape(stage + "0.conv1")[0]);
  // Counted before it is built: every stack is as the first one, and a few keys can name millions of blocks. Each has two convolutions.
  const int64_t blocks = 3 * std::accumulate(config.stage_blocks.begin(), config.stage_blocks.end(), int64_t{0}) - 2 * config.stage_blocks.back();
  const int64_t least = config.num_stacks * 2 * blocks;
  if (least > std::ssize(keys)) {
    refuse("its " + std::to_string(config.num_stacks) + " hourglasses would have at least " + std::to_string(least) + " tensors; it has " +
           std::to_string(keys.size()));
  }
  return config;
}

CornerHeadConfig derive_head(const KeyIndex& keys) {
  CornerHeadConfig config;
  config.num_levels = keys.count("bbox_head.tl_heat.", kMaxStacks);
  config.num_classes = keys.conv_shape("bbox_head.tl_heat.0.1.conv")[0];
  config.branch_channels = keys.conv_shape("bbox_head.tl_heat.0.0.conv")[0];
  const at::IntArrayRef direction = keys.conv_shape("bbox_head.tl_pool.0.direction1_conv.conv");
  config.pool_channels = direction[0];
  config.in_channels = direction[1];
  const int64_t embedding = keys.conv_shape("bbox_head.tl_emb.0.1.conv")[0];
  if (embedding != 1) refuse("its embeddings have " + std::to_string(embedding) + " channels; only one channel is supported");
  return config;
}

/// The first ten of a list and how many there are.
class Findings {
 public:
  explicit Findings(const char* kind) : kind_(kind) {}
  void add(const std::string& what) {
    if (++count_ <= kListed) list_ += (count_ > 1 ? ", " : "") + what;
  }
  bool any() const { return count_ > 0; }
  std::string text() const { return std::to_string(count_) + " " + kind_ + " (" + list_ + (count_ > kListed ? ", ..." : "") + ")"; }

 private:
  static constexpr int kListed = 10;
  const char* kind_;
  int count_ = 0;
  std::string list_;
};

void check_stated(const char* what, int64_t derived, std::optional<int> stated) {
  if (stated && *stated != derived) {
    refuse_checkpoint(std::string("the configuration text in the checkpoint says ") + what + " is " + std::to_string(*stated) +
                      ", but its tensors have " + std::to_string(derived));
  }
}

}  // namespace

CornerNetConfig derive_architecture(const NamedTensors& tensors) {
  const KeyIndex keys(tensors);
  if (!keys.has_module("backbone.") || !keys.has_module("bbox_head.")) {
    refuse("none of its " + std::to_string(tensors.size()) + " tensors is called " + (keys.has_module("backbone.") ? "bbox_head.*" : "backbone.*"));
  }
  CornerNetConfig config{derive_backbone(keys), derive_head(keys)};
  if (config.head.in_channels != config.backbone.feat_channels) {
    refuse("its backbone gives " + std::to_string(config.backbone.feat_channels) + " channels, of which its head takes " +
           std::to_string(config.head.in_channels));
  }
  return config;
}

void cross_check(const CornerNetConfig& architecture, const StatedConfig& stated) {
  check_stated("num_classes", architecture.head.num_classes, stated.num_classes);
  check_stated("num_stacks", architecture.backbone.num_stacks, stated.num_stacks);
  check_stated("num_feat_levels", architecture.head.num_levels, stated.num_feat_levels);
  check_stated("corner_emb_channels", 1, stated.corner_emb_channels);
}

void assign_parameters(CornerNet& network, const NamedTensors& tensors) {
  std::unordered_map<std::string, at::Tensor> by_name(tensors.begin(), tensors.end());
  Findings missing("missing"), unexpected("unexpected"), misshapen("of the wrong shape");
  std::unordered_set<std::string> known;
  for (const Parameter& parameter : network.parameters()) {
    known.insert(parameter.name);
    const auto found = by_name.find(parameter.name);
    if (found == by_name.end()) {
      if (!parameter.optional) missing.add(parameter.name);
    } else if (found->second.sizes() != at::IntArrayRef(parameter.shape)) {
      misshapen.add(parameter.name + " " + shape_text(found->second.sizes()) + " instead of " + shape_text(parameter.shape));
    } else {
      *parameter.slot = found->second;
    }
  }
  for (const auto& [name, tensor] : tensors) {
    if (!known.contains(name)) unexpected.add(name);
  }
  std::string findings;
  for (const Findings* kind : {&missing, &unexpected, &misshapen}) {
    if (kind->any()) findings += (findings.empty() ? "" : "; ") + kind->text();
  }
  if (!findings.empty()) refuse_checkpoint("its tensors do not make a CornerNet: " + findings);
}

}  // namespace cornernet
