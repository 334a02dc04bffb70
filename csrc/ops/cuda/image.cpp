#ifdef CORNERNET_CUDA
#include "ops/cuda/image.h"

#include <ATen/ops/empty.h>

#include <cstring>

#include "ops/cuda/image_kernel.h"
#include "ops/cuda/stream.h"

namespace cornernet::cuda {

void make_input(std::vector<PictureJob> pictures, const LevelTable& table, const InputView& view, at::Tensor& input) {
  // One buffer: the table, the jobs (both keep 8-byte alignment), then the pictures' bytes.
  static_assert(sizeof(LevelTable) % 4 == 0);
  constexpr size_t kTableBytes = (sizeof(LevelTable) + 15) / 16 * 16;
  const size_t jobs_bytes = pictures.size() * sizeof(PictureJob);
  size_t bytes = kTableBytes + jobs_bytes;
  for (const PictureJob& picture : pictures) bytes += size_t{3} * picture.width_px * picture.height_px;
  const auto size = static_cast<int64_t>(bytes);
  const at::Tensor staging = at::empty({size}, at::TensorOptions(at::kByte).pinned_memory(true));
  const at::Tensor uploaded = at::empty({size}, at::TensorOptions(at::kByte).device(input.device()));
  auto* const host = staging.mutable_data_ptr<uint8_t>();
  const auto* const device = uploaded.const_data_ptr<uint8_t>();
  size_t at = kTableBytes + jobs_bytes;
  for (PictureJob& picture : pictures) {
    const size_t picture_bytes = size_t{3} * picture.width_px * picture.height_px;
    std::memcpy(host + at, picture.rgb, picture_bytes);
    picture.rgb = device + at;
    at += picture_bytes;
  }
  std::memcpy(host, &table, sizeof(table));
  std::memcpy(host + kTableBytes, pictures.data(), jobs_bytes);
  uploaded.copy_(staging, /*non_blocking=*/true);  // torch keeps the pinned block until the copy is over
  launch(input, [&](void* stream) {
    return make_input(reinterpret_cast<const PictureJob*>(device + kTableBytes), reinterpret_cast<const LevelTable*>(device), view,
                      input.mutable_data_ptr(), scalar_of(input), stream);
  });
}

}  // namespace cornernet::cuda
#endif
