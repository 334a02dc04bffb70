#ifdef CORNERNET_CUDA
#include <ATen/ops/empty.h>
#include <c10/core/Event.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>

#include "ops/cuda/kernels.h"
#include "ops/cuda/operators.h"
#include "ops/cuda/stream.h"

namespace cornernet::cuda {
namespace {

/// Whether cells follow one another by rows. The stride of a side of one means nothing.
bool by_rows(const at::Tensor& map) { return map.size(2) == 1 || map.size(3) == 1 || map.stride(2) == map.size(3) * map.stride(3); }

StridedMap strided(const at::Tensor& map) {
  const int64_t cell_stride = map.size(3) > 1 ? map.stride(3) : map.stride(2);
  return {map.const_data_ptr(), map.stride(0), static_cast<uint32_t>(map.stride(1)), static_cast<uint32_t>(cell_stride)};
}

at::Tensor bytes_on(at::Device device, int64_t bytes) { return at::empty({bytes}, at::TensorOptions(at::kByte).device(device)); }

/// A copy of plain structures on the device.
template <typename T>
at::Tensor uploaded(const std::vector<T>& values, at::Device device) {
  const auto bytes = static_cast<int64_t>(values.size() * sizeof(T));
  const at::Tensor staging = at::empty({bytes}, at::TensorOptions(at::kByte).pinned_memory(true));
  std::memcpy(staging.mutable_data_ptr(), values.data(), static_cast<size_t>(bytes));
  return staging.to(device, at::kByte, /*non_blocking=*/true);
}

/// A copy in pinned memory, on its way: an event recorded after this call says when it is there.
at::Tensor copied_back(const at::Tensor& values) {
  const at::Tensor host = at::empty(values.sizes(), values.options().device(at::kCPU).pinned_memory(true));
  host.copy_(values, /*non_blocking=*/true);
  return host;
}

DecodeJob describe(const HeadMaps& maps, const DecodeOptions& options) {
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
  job.blocks = collecting_blocks(job);
  return job;
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
  return maps.tl.heat.is_cuda() && options.corner_topk <= kMaxTopk && options.max_candidates <= kMaxCandidates && all_of(maps.tl) && all_of(maps.br);
}

std::function<DecodedViews()> start_decoding(const HeadMaps& maps, const std::vector<ViewGeometry>& views, const DecodeOptions& options) {
  const at::Device device = maps.tl.heat.device();
  DecodeJob job = describe(maps, options);
  const at::Tensor geometry = uploaded(views, device);
  job.geometry = static_cast<const ViewGeometry*>(geometry.const_data_ptr());
  const at::Tensor scratch = bytes_on(device, scratch_keys(job) * static_cast<int64_t>(sizeof(uint64_t)));
  const at::Tensor found = bytes_on(device, int64_t{1} * job.views * job.max_candidates * static_cast<int64_t>(sizeof(Candidate)));
  const at::Tensor counts = at::empty({job.views}, at::TensorOptions(at::kInt).device(device));
  launch(maps.tl.heat, [&](void* stream) {
    return decode_corners(job, scalar_of(maps.tl.heat), static_cast<uint64_t*>(scratch.mutable_data_ptr()),
                          static_cast<Candidate*>(found.mutable_data_ptr()), counts.mutable_data_ptr<int>(), stream);
  });
  const at::Tensor host_found = copied_back(found), host_counts = copied_back(counts);
  const auto arrived = std::make_shared<c10::Event>(device.type());
  arrived->record(c10::cuda::getCurrentCUDAStream(device.index()));
  return [=, views = job.views, each = job.max_candidates] {
    arrived->synchronize();
    const auto* candidates = static_cast<const Candidate*>(host_found.const_data_ptr());
    DecodedViews decoded;
    for (int view = 0; view < views; ++view) {
      const Candidate* first = candidates + int64_t{1} * view * each;
      const int count = host_counts.const_data_ptr<int>()[view];  // -1: not finite
      decoded.push_back({{first, first + std::max(count, 0)}, count >= 0});
    }
    return decoded;
  };
}

}  // namespace cornernet::cuda
#endif
