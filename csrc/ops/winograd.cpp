#include "ops/winograd.h"

#include <ATen/Parallel.h>
#include <ATen/ops/baddbmm.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/flip.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <array>
#include <vector>

#include "ops/cpu/kernels.h"

namespace cornernet {
namespace {

constexpr at::MemoryFormat kLayout = at::MemoryFormat::ChannelsLast;
// So many that the kernels' fetching is little beside the products, so few that a block's tiles stay in the L3 cache.
constexpr int64_t kBlock = 128, kGradientBlock = 256;
// Below it oneDNN is as fast.
constexpr int64_t kLeastTiles = 256, kLeastChannels = 64;

TiledMap tiled(const at::Tensor& x) { return {x.size(0), x.size(2), x.size(3), x.size(1)}; }

/// [36, 9]: what a kernel's nine numbers are at the 36 points.
at::Tensor kernel_points() {
  constexpr double kPoints[6][3] = {
      {1. / 4, 0, 0}, {-1. / 6, -1. / 6, -1. / 6}, {-1. / 6, 1. / 6, -1. / 6}, {1. / 24, 1. / 12, 1. / 6}, {1. / 24, -1. / 12, 1. / 6}, {0, 0, 1}};
  at::Tensor both = at::empty({36, 9}, at::kFloat);
  float* value = both.mutable_data_ptr<float>();
  for (const auto& down : kPoints) {
    for (const auto& across : kPoints) {
      for (const double d : down) {
        for (const double a : across) *value++ = static_cast<float>(d * a);
      }
    }
  }
  return both;
}

/// [3, 3, in, out] to [36, in, out].
at::Tensor at_points(const at::Tensor& weight) {
  const at::Tensor dense = weight.contiguous();
  return at::mm(kernel_points(), dense.view({9, -1})).view({TiledMap::kPoints, dense.size(2), dense.size(3)});
}

/// The first `tiles` rows of a thread's room, [36, tiles, channels].
at::Tensor part(const at::Tensor& room, int64_t tiles, int64_t channels) {
  return room.narrow(0, 0, TiledMap::kPoints * tiles * channels).view({TiledMap::kPoints, tiles, channels});
}

/// points: [36, in, out].
at::Tensor convolve(const at::Tensor& input, const at::Tensor& points) {
  const at::Tensor x = input.contiguous(kLayout);
  const int64_t out = points.size(2);
  at::Tensor y = at::empty({x.size(0), out, x.size(2), x.size(3)}, x.options(), kLayout);
  const TiledMap from = tiled(x), to = tiled(y);
  const int64_t blocks = (from.tiles() + kBlock - 1) / kBlock, threads = std::min<int64_t>(at::get_num_threads(), blocks);
  const at::Tensor seen = at::empty({threads, TiledMap::kPoints * kBlock * from.channels}, x.options());
  const at::Tensor made = at::empty({threads, TiledMap::kPoints * kBlock * out}, x.options());
  at::parallel_for(0, threads, 1, [&](int64_t first_thread, int64_t last_thread) {
    for (int64_t thread = first_thread; thread < last_thread; ++thread) {
      for (int64_t block = thread; block < blocks; block += threads) {
        const int64_t first = block * kBlock, tiles = std::min(kBlock, from.tiles() - first);
        at::Tensor v = part(seen[thread], tiles, from.channels), m = part(made[thread], tiles, out);
        cpu::winograd_seen(x, from, first, tiles, v);
        at::bmm_out(m, v, points);
        cpu::winograd_result(m, to, first, tiles, y);
      }
    }
  });
  return y;
}

}  // namespace

bool winograd_pays(const at::Tensor& x, int64_t out_channels, int64_t kernel_size, int64_t stride) {
  const bool fits = x.is_cpu() && x.scalar_type() == at::kFloat && kernel_size == 3 && stride == 1;
  const auto wide = [](int64_t channels) { return channels >= kLeastChannels && channels % TiledMap::kLane == 0; };
  return fits && wide(x.size(1)) && wide(out_channels) && tiled(x).tiles() >= kLeastTiles;
}

at::Tensor winograd_conv(const at::Tensor& x, const at::Tensor& weight) { return convolve(x, at_points(weight.permute({2, 3, 1, 0}))); }

at::Tensor winograd_conv_input_gradient(const at::Tensor& grad_y, const at::Tensor& weight) {
  return convolve(grad_y, at_points(at::flip(weight, {2, 3}).permute({2, 3, 0, 1})));
}

at::Tensor winograd_conv_weight_gradient(const at::Tensor& grad_output, const at::Tensor& input) {
  const at::Tensor x = input.contiguous(kLayout), grad_y = grad_output.contiguous(kLayout);
  const TiledMap from = tiled(x), to = tiled(grad_y);
  const int64_t blocks = (from.tiles() + kGradientBlock - 1) / kGradientBlock, threads = std::min<int64_t>(at::get_num_threads(), blocks);
  const at::Tensor seen = at::empty({threads, TiledMap::kPoints * kGradientBlock * from.channels}, x.options());
  const at::Tensor come = at::empty({threads, TiledMap::kPoints * kGradientBlock * to.channels}, x.options());
  const at::Tensor sums = at::zeros({threads, TiledMap::kPoints, from.channels, to.channels}, x.options());
  at::parallel_for(0, threads, 1, [&](int64_t first_thread, int64_t last_thread) {
    for (int64_t thread = first_thread; thread < last_thread; ++thread) {
      at::Tensor sum = sums[thread];
      for (int64_t block = thread; block < blocks; block += threads) {
        const int64_t first = block * kGradientBlock, tiles = std::min(kGradientBlock, from.tiles() - first);
        at::Tensor v = part(seen[thread], tiles, from.channels), m = part(come[thread], tiles, to.channels);
        cpu::winograd_seen(x, from, first, tiles, v);
        cpu::winograd_result_gradient(grad_y, to, first, tiles, m);
        sum.baddbmm_(v.transpose(1, 2), m);
      }
    }
  });
  const at::Tensor all = threads == 1 ? sums[0] : sums.sum(0);
  const at::Tensor nine = at::mm(kernel_points().t(), all.view({TiledMap::kPoints, -1}));
  return nine.view({3, 3, from.channels, to.channels}).permute({3, 2, 0, 1}).contiguous(kLayout);
}

}  // namespace cornernet
