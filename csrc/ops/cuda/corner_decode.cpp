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

StridedMap strided(const at::Tensor& map) { return {map.const_data_ptr(), map.stride(0), map.stride(1), map.stride(2), map.stride(3)}; }

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

DecodeJob describe(const CornerMaps& maps, const DecodeOptions& options) {
  DecodeJob job{};
  const at::Tensor* const heats[2] = {&maps.tl_heat, &maps.br_heat};
  const at::Tensor* const embeddings[2] = {&maps.tl_emb, &maps.br_emb};
  const at::Tensor* const offsets[2] = {&maps.tl_off, &maps.br_off};
  for (int side = 0; side < 2; ++side) {
    job.heat[side] = strided(*heats[side]);
    job.embedding[side] = strided(*embeddings[side]);
    job.offset[side] = strided(*offsets[side]);
  }
  job.views = static_cast<int>(maps.tl_heat.size(0));
  job.classes = static_cast<int>(maps.tl_heat.size(1));
  job.height = static_cast<int>(maps.tl_heat.size(2));
  job.width = static_cast<int>(maps.tl_heat.size(3));
  job.channels_last = maps.tl_heat.stride(1) == 1;
  job.topk = static_cast<int>(std::min<int64_t>(options.corner_topk, job.elements()));
  job.radius = options.local_maximum_kernel / 2;
  job.max_candidates = options.max_candidates;
  job.distance_threshold = options.distance_threshold;
  return job;
}

}  // namespace

bool can_decode(const CornerMaps& maps, const DecodeOptions& options) {
  const at::ScalarType type = maps.tl_heat.scalar_type();
  const auto same_type = [&](const at::Tensor& map) { return map.scalar_type() == type; };
  return maps.tl_heat.is_cuda() && options.corner_topk <= kMaxTopk && options.max_candidates <= kMaxCandidates &&
         maps.tl_heat[0].numel() < std::numeric_limits<uint32_t>::max() && same_type(maps.br_heat) && same_type(maps.tl_emb) &&
         same_type(maps.br_emb) && same_type(maps.tl_off) && same_type(maps.br_off);
}

std::function<CandidateLists()> start_decoding(const CornerMaps& maps, const std::vector<ViewGeometry>& views, const DecodeOptions& options) {
  const at::Device device = maps.tl_heat.device();
  DecodeJob job = describe(maps, options);
  const at::Tensor geometry = uploaded(views, device);
  job.geometry = static_cast<const ViewGeometry*>(geometry.const_data_ptr());
  const at::Tensor scratch = bytes_on(device, scratch_keys(job) * static_cast<int64_t>(sizeof(uint64_t)));
  const at::Tensor found = bytes_on(device, int64_t{1} * job.views * job.max_candidates * static_cast<int64_t>(sizeof(Candidate)));
  const at::Tensor counts = at::empty({job.views}, at::TensorOptions(at::kInt).device(device));
  launch(maps.tl_heat, [&](void* stream) {
    return decode_corners(job, scalar_of(maps.tl_heat), static_cast<uint64_t*>(scratch.mutable_data_ptr()),
                          static_cast<Candidate*>(found.mutable_data_ptr()), counts.mutable_data_ptr<int>(), stream);
  });
  const at::Tensor host_found = copied_back(found), host_counts = copied_back(counts);
  const auto arrived = std::make_shared<c10::Event>(device.type());
  arrived->record(c10::cuda::getCurrentCUDAStream(device.index()));
  return [=, views = job.views, each = job.max_candidates] {
    arrived->synchronize();
    const auto* candidates = static_cast<const Candidate*>(host_found.const_data_ptr());
    CandidateLists lists;
    for (int view = 0; view < views; ++view) {
      const Candidate* first = candidates + int64_t{1} * view * each;
      lists.emplace_back(first, first + host_counts.const_data_ptr<int>()[view]);
    }
    return lists;
  };
}

}  // namespace cornernet::cuda
#endif
