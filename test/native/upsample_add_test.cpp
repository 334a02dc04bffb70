// Upsampling and addition, and the CUDA kernel's body, against ATen's nearest upsampling.
#include "ops/upsample_add.h"

#include <ATen/ops/add.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/upsample_nearest2d.h>

#include "canary_memory.h"
#include "host_block.h"
#include "op_cases.h"
#include "ops/cuda/upsample_add_body.cuh"
#include "runtime/error.h"
#include "test.h"

using namespace cornernet;
using namespace cornernet::testing;

namespace {

struct Sizes {
  int64_t low_height, low_width, height, width;
};
// The network's own (half, and odd sizes' halves rounded up), none at all, one pixel, and factors where fp32's scale decides.
const std::vector<Sizes> kSizes{{8, 16, 16, 31}, {1, 1, 1, 1},   {8, 8, 15, 16}, {24, 48, 48, 96}, {32, 64, 64, 127},
                                {1, 3, 5, 7},    {3, 7, 41, 59}, {6, 6, 6, 6},   {5, 9, 2, 4}};
constexpr at::MemoryFormat kFormats[] = {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast};

/// The sum in fp32 (fp64 for fp64), rounded once.
at::Tensor aten(const at::Tensor& low, const at::Tensor& skip) {
  const at::ScalarType wide = low.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const at::Tensor up = at::upsample_nearest2d(low.to(wide), {skip.size(2), skip.size(3)});
  return at::add(skip.to(wide), up).to(low.scalar_type());
}

void check_operator(at::Device device) {
  for (const Sizes& s : kSizes) {
    for (const int64_t channels : {1, 3, 8, 72}) {
      for (const at::ScalarType type : types_on(device)) {
        for (const at::MemoryFormat format : kFormats) {
          const at::Tensor low = make_values({2, channels, s.low_height, s.low_width}, Content::Nan, 1).to(device, type).contiguous(format);
          const at::Tensor skip = make_values({2, channels, s.height, s.width}, Content::Infinite, 2).to(device, type).contiguous(format);
          std::ostringstream what;
          what << low.sizes() << " to " << skip.sizes() << " " << type;
          const at::Tensor y = upsample_nearest_add(low, skip);
          check(y.strides() == skip.strides(), what.str(), ": the layout changed");
          check_same(y, aten(low, skip), what.str());
        }
      }
    }
  }
}

template <cuda::Scalar kScalar, int kLanes>
void check_body(const Sizes& s, int64_t channels, at::MemoryFormat format) {
  const bool planes = format == at::MemoryFormat::Contiguous;
  if ((planes ? 1 : channels) % kLanes != 0) return;
  const at::Tensor low = make_values({2, channels, s.low_height, s.low_width}, Content::Nan, 1).to(torch_type<kScalar>()).contiguous(format);
  const at::Tensor skip = make_values({2, channels, s.height, s.width}, Content::Infinite, 2).to(torch_type<kScalar>()).contiguous(format);
  const UpsampleView view{planes ? 2 * channels : 2, s.low_height, s.low_width, s.height, s.width, planes ? 1 : channels};
  std::ostringstream what;
  what << low.sizes() << " to " << skip.sizes() << " by " << kLanes << (planes ? " NCHW" : " NHWC");
  CanaryMemory<kScalar> from(low), onto(skip), to(skip);
  const auto packs = static_cast<uint32_t>(skip.numel() / kLanes);
  HostBlock block(32, 0, LaneOrder::Ascending);
  block.run((packs + 32 * cuda::kUpsamplePacks - 1) / (32 * cuda::kUpsamplePacks),
            [&](HostContext& context) { cuda::add_upsampled<kScalar, kLanes>(context, from.data(), onto.data(), to.data(), view, packs); });
  check_same(to.tensor(what.str()), aten(low, skip), what.str());
}

template <cuda::Scalar kScalar>
void check_bodies() {
  for (const Sizes& s : kSizes) {
    for (const int64_t channels : {2, 8}) {
      for (const at::MemoryFormat format : kFormats) {
        check_body<kScalar, 1>(s, channels, format);
        check_body<kScalar, 2>(s, channels, format);
        check_body<kScalar, 4>(s, channels, format);
        if constexpr (kScalar != cuda::Scalar::Float32) check_body<kScalar, 8>(s, channels, format);
      }
    }
  }
}

const Registration refusals("upsample_add: wrong input is refused with a code", [] {
  const at::Tensor x = make_values({1, 2, 3, 4}, Content::Random, 1);
  const auto refuses = [](const char* part, auto call) { check(contains(refused(ErrorCode::Input, call), part), part); };
  refuses("missing", [&] { upsample_nearest_add(at::Tensor(), x); });
  refuses("four dimensions", [&] { upsample_nearest_add(x[0], x); });
  refuses("dtype Int", [&] { upsample_nearest_add(x.to(at::kInt), x.to(at::kInt)); });
  refuses("dtype and device", [&] { upsample_nearest_add(x.to(at::kHalf), x); });
  refuses("batch and channels", [&] { upsample_nearest_add(x.slice(1, 0, 1), x); });
  refuses("smaller map is empty", [&] { upsample_nearest_add(x.slice(2, 0, 0), x); });
});

const Registration threads_test("upsample_add: results do not depend on the number of threads", [] {
  const at::Tensor low = make_values({1, 96, 20, 18}, Content::Random, 1), skip = make_values({1, 96, 40, 35}, Content::Random, 2);
  const at::Tensor expected = aten(low, skip);
  for (const int count : {1, 2, 3, 7}) {
    const Threads threads(count);
    check(at::equal(upsample_nearest_add(low, skip), expected), count, " threads give another result");
  }
});

void check_strided(at::Device device) {
  const at::Tensor low = make_values({2, 6, 5, 6}, Content::Random, 1).to(device);
  const at::Tensor skip = make_values({2, 12, 10, 11}, Content::Random, 2).to(device).slice(1, 0, 12, 2);
  check_same(upsample_nearest_add(low, skip), aten(low, skip), "strided");
  check_same(upsample_nearest_add(low, skip.contiguous(at::MemoryFormat::ChannelsLast)), aten(low, skip), "two layouts");
}

const OnEveryScalar bodies("upsample_add: the CUDA body on the CPU equals ATen", []<cuda::Scalar kScalar> { check_bodies<kScalar>(); });
const OnEveryDevice sizes("upsample_add: every size, type and layout gives ATen's nearest pixel and one rounding", check_operator);
const OnEveryDevice strided("upsample_add: a view that is dense in neither layout, and two layouts, give the same results", check_strided);

}  // namespace
