// The body of the kernel of nearest upsampling and addition.
#pragma once
#include "ops/cuda/element.h"
#include "ops/upsample_view.h"

namespace cornernet::cuda {

constexpr int kUpsampleThreads = 256;
constexpr int kUpsamplePacks = 4;  // packs a thread

/// y = skip + nearest(low). kLanes neighbouring channels of one pixel a pack.
/// Memory: neighbouring threads take neighbouring packs of skip and y, each read and written once, 4 in flight a thread; low's packs are read once
/// from memory and again from the cache, as neighbouring pixels repeat them.
/// Cost: three 32-bit divisions and two 64-bit products a pack (the launcher keeps `packs`, and so rows and places in a row, below 2^30).
template <Scalar kScalar, int kLanes, typename Context, typename Raw = typename Element<kScalar>::Raw>
CORNERNET_DEVICE void add_upsampled(Context& context, const Raw* low, const Raw* skip, Raw* y, const UpsampleView& view, uint32_t packs) {
  using E = Element<kScalar>;
  const float scale_y = nearest_scale(view.low_height, view.height), scale_x = nearest_scale(view.low_width, view.width);
  const auto packs_a_pixel = static_cast<uint32_t>(view.channels / kLanes);
  const auto width = static_cast<uint32_t>(view.width), height = static_cast<uint32_t>(view.height);
  const auto low_width = static_cast<uint32_t>(view.low_width), low_height = static_cast<uint32_t>(view.low_height);
  const int64_t low_row_elements = view.low_width * view.channels;
  const uint32_t packs_a_row = width * packs_a_pixel;
  const uint32_t first = context.block() * kUpsamplePacks * context.threads() + context.thread();
  Pack<Raw, kLanes> sums[kUpsamplePacks]{}, lows[kUpsamplePacks]{};
#pragma unroll
  for (int p = 0; p < kUpsamplePacks; ++p) {
    const uint32_t pack = first + p * context.threads();
    if (pack >= packs) continue;
    sums[p] = load_pack<kLanes>(skip + static_cast<int64_t>(pack) * kLanes);
    const uint32_t row = pack / packs_a_row, in_row = pack - row * packs_a_row;
    const uint32_t plane = row / height, low_y = nearest_source(row - plane * height, scale_y, low_height);
    const Raw* const low_row = low + (plane * low_height + low_y) * low_row_elements;
    const uint32_t x = in_row / packs_a_pixel;
    lows[p] = load_pack<kLanes>(low_row + nearest_source(x, scale_x, low_width) * view.channels + (in_row - x * packs_a_pixel) * kLanes);
  }
#pragma unroll
  for (int p = 0; p < kUpsamplePacks; ++p) {
    const uint32_t pack = first + p * context.threads();
    if (pack >= packs) continue;
#pragma unroll
    for (int l = 0; l < kLanes; ++l) sums[p].set(l, E::store(E::load(sums[p].get(l)) + E::load(lows[p].get(l))));
    store_pack(y + static_cast<int64_t>(pack) * kLanes, sums[p]);
  }
}

}  // namespace cornernet::cuda
