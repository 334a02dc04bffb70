#ifdef CORNERNET_CUDA
#include <ATen/ops/empty.h>
#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>

#include <cstring>
#include <map>

#include "ops/cuda/kernels.h"
#include "ops/cuda/operators.h"
#include "ops/cuda/stream.h"

namespace cornernet::cuda {

namespace {

/// Uploads have a stream of their own, so that a batch's pictures arrive while the one before is in the network.
c10::Stream upload_stream(at::Device device) {
  thread_local std::map<c10::DeviceIndex, c10::Stream> streams;  // a device has one thread that feeds it
  const auto found = streams.find(device.index());
  if (found != streams.end()) return found->second;
  return streams.emplace(device.index(), c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device.index())).first->second;
}

at::Tensor bytes_for_upload(int64_t bytes, at::Device device) {
  const c10::StreamGuard guard(upload_stream(device));  // the block may have served an upload before, and no other stream
  return at::empty({bytes}, at::TensorOptions(at::kByte).device(device));
}

/// The current stream goes on when the bytes are there; nobody waits here.
void upload(const at::Tensor& staging, const at::Tensor& bytes) {
  const at::Device device = bytes.device();
  const c10::Stream computing = c10::cuda::getCurrentCUDAStream(device.index());
  c10::Event arrived(device.type());
  {
    const c10::StreamGuard guard(upload_stream(device));
    bytes.copy_(staging, /*non_blocking=*/true);  // torch keeps the pinned block until the copy is over
    arrived.record(guard.current_stream());
  }
  arrived.block(computing);
  bytes.record_stream(computing);  // which is done with the block later than the stream that it comes from
}

}  // namespace

void make_input(std::vector<PictureJob> pictures, const LevelTable& table, const InputView& view, at::Tensor& input) {
  // One buffer: the table, the jobs (both keep 8-byte alignment), then the pictures' bytes.
  static_assert(sizeof(LevelTable) % 4 == 0);
  constexpr size_t kTableBytes = (sizeof(LevelTable) + 15) / 16 * 16;
  const size_t jobs_bytes = pictures.size() * sizeof(PictureJob);
  size_t bytes = kTableBytes + jobs_bytes;
  for (const PictureJob& picture : pictures) bytes += size_t{3} * picture.source_width_px * picture.source_height_px;
  const auto size = static_cast<int64_t>(bytes);
  const at::Tensor staging = at::empty({size}, at::TensorOptions(at::kByte).pinned_memory(true));
  auto* const host = staging.mutable_data_ptr<uint8_t>();
  const at::Tensor uploaded = bytes_for_upload(size, input.device());
  const auto* const device = uploaded.const_data_ptr<uint8_t>();
  size_t at = kTableBytes + jobs_bytes;
  for (PictureJob& picture : pictures) {
    const size_t picture_bytes = size_t{3} * picture.source_width_px * picture.source_height_px;
    std::memcpy(host + at, picture.rgb, picture_bytes);
    picture.rgb = device + at;
    at += picture_bytes;
  }
  std::memcpy(host, &table, sizeof(table));
  std::memcpy(host + kTableBytes, pictures.data(), jobs_bytes);
  upload(staging, uploaded);
  launch(input, [&](void* stream) {
    return make_input(reinterpret_cast<const PictureJob*>(device + kTableBytes), reinterpret_cast<const LevelTable*>(device), view,
                      input.mutable_data_ptr(), scalar_of(input), stream);
  });
}

}  // namespace cornernet::cuda
#endif
