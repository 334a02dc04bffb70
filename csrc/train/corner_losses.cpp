#include "train/corner_losses.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/log.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/smooth_l1_loss.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

namespace cornernet::train {
namespace {

constexpr double kPullWeight = 0.1, kPushWeight = 0.1, kMargin = 1, kEpsilon = 1e-12;

at::Tensor widened(const at::Tensor& map) { return map.scalar_type() == at::kDouble ? map : map.to(at::kFloat); }

at::Tensor gaussian_focal_loss(const at::Tensor& logits, const at::Tensor& target, double ones) {
  const at::Tensor p = at::sigmoid(logits), is_corner = target.eq(1).to(p.scalar_type());
  const at::Tensor there = -at::log(p + kEpsilon) * (1 - p).pow(2) * is_corner;
  const at::Tensor elsewhere = -at::log(1 - p + kEpsilon) * p.pow(2) * (1 - target).pow(4);
  return (there + elsewhere).sum() / std::max(1.0, ones);
}

at::Tensor offset_loss(const at::Tensor& offset, const CornerTargets& targets) {
  const at::Tensor mask = targets.heat.eq(1).any(1, /*keepdim=*/true).to(offset.scalar_type());
  const at::Tensor loss = at::smooth_l1_loss(offset, targets.offset.to(offset.scalar_type()), at::Reduction::None, /*beta=*/1.0);
  return (loss * mask).sum() / std::max(1.0, targets.marked);
}

struct PullPush {
  at::Tensor pull, push;
};

/// Associative embedding: a box's two corners are drawn together, the boxes of a picture apart. tl, br: one number a box.
PullPush embedding_losses(const at::Tensor& tl, const at::Tensor& br) {
  const int64_t boxes = tl.size(0);
  const at::Tensor mean = (tl + br) / 2;
  const at::Tensor pull = ((tl - mean).pow(2) + (br - mean).pow(2)).sum() / boxes;
  if (boxes < 2) return {pull, at::zeros({}, tl.options())};
  const at::Tensor apart = kMargin - (mean.unsqueeze(0) - mean.unsqueeze(1)).abs();
  const at::Tensor others = 1 - at::eye(boxes, tl.options());
  return {pull, at::relu(apart * others).sum() / (boxes * (boxes - 1))};
}

/// The embeddings, a [N, 1, h, w] map, at cells.
at::Tensor gather(const at::Tensor& map, const std::vector<int64_t>& cells) {
  const at::Tensor index = at::from_blob(const_cast<int64_t*>(cells.data()), {static_cast<int64_t>(cells.size())}, at::kLong);
  // A copy: the way back looks at it once more.
  return map.contiguous().view({-1}).index_select(0, index.clone().to(map.device()));
}

PullPush embedding_losses(const at::Tensor& tl_map, const at::Tensor& br_map, const Targets& targets) {
  const at::Tensor tl = gather(tl_map, targets.tl.cells), br = gather(br_map, targets.br.cells);
  PullPush sum{at::zeros({}, tl.options()), at::zeros({}, tl.options())};
  int64_t at = 0;
  for (const int64_t boxes : targets.boxes_in) {
    if (boxes > 0) {
      const PullPush of_picture = embedding_losses(tl.slice(0, at, at + boxes), br.slice(0, at, at + boxes));
      sum = {sum.pull + of_picture.pull, sum.push + of_picture.push};
    }
    at += boxes;
  }
  return {sum.pull * kPullWeight, sum.push * kPushWeight};
}

}  // namespace

at::Tensor Losses::total() const { return det + pull + push + off; }

Losses corner_losses(const HeadMaps& maps, const Targets& targets) {
  const auto heat = [](const CornerMaps& corner, const CornerTargets& target) {
    const at::Tensor logits = widened(corner.heat);
    return gaussian_focal_loss(logits, target.heat.to(logits.scalar_type()), target.ones);
  };
  const PullPush embedding = embedding_losses(widened(maps.tl.emb), widened(maps.br.emb), targets);
  return {(heat(maps.tl, targets.tl) + heat(maps.br, targets.br)) / 2, embedding.pull, embedding.push,
          (offset_loss(widened(maps.tl.off), targets.tl) + offset_loss(widened(maps.br.off), targets.br)) / 2};
}

}  // namespace cornernet::train
