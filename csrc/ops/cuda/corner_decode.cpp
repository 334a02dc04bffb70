#include "ops/cuda/corner_decode.h"

#include <algorithm>
#include <limits>

namespace cornernet::cuda {
namespace {

/// Whether cells follow one another by rows. The stride of a side of one means nothing.
bool by_rows(const at::Tensor& map) { return map.size(2) == 1 || map.size(3) == 1 || map.stride(2) == map.size(3) * map.stride(3); }

StridedMap strided(const at::Tensor& map) {
  const int64_t cell_stride = map.size(3) > 1 ? map.stride(3) : map.stride(2);
  return {map.const_data_ptr(), map.stride(0), static_cast<uint32_t>(map.stride(1)), static_cast<uint32_t>(cell_stride)};
}

}  // namespace

bool can_decode(const HeadMaps& maps, const DecodeOptions& options) {
  const auto all_of = [type = maps.tl.heat.scalar_type()](const CornerMaps& corner) {
    const auto suits = [type](const at::Tensor& map) {
      constexpr int64_t kMostOffset = std::numeric_limits<int32_t>::max();
      const int64_t last = (map.size(1) - 1) * map.stride(1) + (map.size(2) - 1) * map.stride(2) + (map.size(3) - 1) * map.stride(3);
      return map.scalar_type() == type && by_rows(map) && last < kMostOffset && map[0].numel() < kMostOffset;
    };
    return suits(corner.heat) && suits(corner.emb) && suits(corner.off);
  };
  return options.corner_topk <= kMaxTopk && options.max_candidates <= kMaxCandidates && all_of(maps.tl) && all_of(maps.br);
}

DecodeJob decode_job(const HeadMaps& maps, const DecodeOptions& options) {
  DecodeJob job{};
  for (const int side : {0, 1}) {
    const CornerMaps& corner = side == 0 ? maps.tl : maps.br;
    job.side[side] = {strided(corner.heat), strided(corner.emb), strided(corner.off)};
  }
  job.views = static_cast<int>(maps.tl.heat.size(0));
  job.classes = static_cast<int>(maps.tl.heat.size(1));
  job.height = static_cast<int>(maps.tl.heat.size(2));
  job.width = static_cast<int>(maps.tl.heat.size(3));
  job.channels_last = maps.tl.heat.stride(1) == 1;
  job.topk = static_cast<int>(std::min<int64_t>(options.corner_topk, int64_t{job.elements()}));
  job.radius = options.local_maximum_kernel / 2;
  job.max_candidates = options.max_candidates;
  job.distance_threshold = options.distance_threshold;
  return job;
}

}  // namespace cornernet::cuda
