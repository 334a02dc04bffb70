#include "ops/corner_decode.h"

#include <string>

#include "ops/cpu/kernels.h"
#include "runtime/error.h"

namespace cornernet {
namespace {

constexpr InputOf kDecoding{"corner decoding"};

}  // namespace

void check_decoding(const HeadMaps& maps, size_t views, const DecodeOptions& options) {
  const at::Tensor& heat = maps.tl.heat;
  kDecoding.require(heat.dim() == 4 && heat.numel() > 0, "a heatmap must have four dimensions [views, classes, h, w] and at least one element");
  kDecoding.require(heat.size(0) == static_cast<int64_t>(views), "there must be one geometry a view");
  const auto agrees = [&](const at::Tensor& map, int64_t channels) {
    return map.sizes() == at::IntArrayRef{heat.size(0), channels, heat.size(2), heat.size(3)} && map.device() == heat.device();
  };
  for (const CornerMaps* const corner : {&maps.tl, &maps.br}) {
    kDecoding.require(agrees(corner->heat, heat.size(1)), "the two heatmaps must agree in shape and device");
    kDecoding.require(agrees(corner->emb, 1), "embeddings must have one channel and the heatmaps' size and device");
    kDecoding.require(agrees(corner->off, 2), "offsets must have two channels and the heatmaps' size and device");
  }
  kDecoding.require(options.corner_topk >= 1 && options.max_candidates >= 1, "top-k and the number of candidates must be at least 1");
  kDecoding.require(options.local_maximum_kernel >= 1 && options.local_maximum_kernel % 2 == 1, "the local maximum's kernel must be odd");
}

DecodedViews decode_corners(const HeadMaps& maps, const std::vector<ViewGeometry>& views, const DecodeOptions& options) {
  check_decoding(maps, views.size(), options);
  return cpu::decode_corners(maps, views, options);
}

}  // namespace cornernet
