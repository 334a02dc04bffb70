// The CUDA kernels' bodies, run on the CPU, against the naive twin.
#include "ops/cuda/corner_pool_body.cuh"

#include "canary_memory.h"
#include "host_block.h"
#include "naive_pool.h"
#include "op_cases.h"
#include "ops/cuda/corner_pool_pair_body.cuh"
#include "test.h"

using namespace cornernet;
using namespace cornernet::testing;
using cuda::Element;
using cuda::kWarp;

namespace {

bool is_vertical(Direction direction) { return direction == Direction::Top || direction == Direction::Bottom; }
bool is_backwards(Direction direction) { return direction == Direction::Top || direction == Direction::Left; }

struct Layout {
  at::MemoryFormat format;
  const char* name;
};
constexpr Layout kLayouts[] = {{at::MemoryFormat::Contiguous, " NCHW "}, {at::MemoryFormat::ChannelsLast, " NHWC "}};
constexpr LaneOrder kOrders[] = {LaneOrder::Ascending, LaneOrder::Descending};

PairView pair_view(const at::Tensor& x, const Layout& layout, Direction vertical, Direction horizontal) {
  const int64_t n = x.size(0), c = x.size(1), h = x.size(2), w = x.size(3);
  const bool last = layout.format == at::MemoryFormat::ChannelsLast;
  return {last ? n : n * c, h, w, last ? c : 1, is_backwards(vertical), is_backwards(horizontal)};
}

ScanView scan_view(const at::Tensor& x, const Layout& layout, Direction direction) {
  const PairScans scans = scans_of(pair_view(x, layout, direction, direction));
  return is_vertical(direction) ? scans.vertical : scans.horizontal;
}

/// The forward body that the launcher would take for this view, with packs of kLanes. Adds to what `y` holds when kAdd.
template <cuda::Scalar kScalar, int kLanes, bool kAdd, typename Raw>
void run_scan(const Raw* x, Raw* y, const ScanView& view, int warps, LaneOrder order) {
  const int64_t bundles = (view.inner + kWarp * kLanes - 1) / (kWarp * kLanes);
  if constexpr (kLanes <= cuda::kColumnLanes) {
    if (view.inner > 1) {
      HostBlock block(warps * kWarp, cuda::scan_columns_shared_bytes(warps * kWarp, sizeof(Raw) * kLanes), order);
      block.run(static_cast<unsigned>(view.outer * bundles),
                [&](HostContext& context) { cuda::scan_columns<kScalar, kLanes, kAdd>(context, x, y, y, view); });
      return;
    }
  }
  HostBlock block(2 * kWarp, 0, order);
  block.run(static_cast<unsigned>((view.outer + 2 * cuda::kScanRows - 1) / (2 * cuda::kScanRows)),
            [&](HostContext& context) { cuda::scan_rows<kScalar, kLanes, kAdd>(context, x, y, y, view); });
}

template <cuda::Scalar kScalar, int kLanes>
void check_scans(const std::vector<int64_t>& shape, Content content) {
  for (const Layout& layout : kLayouts) {
    const at::Tensor x = make_values(shape, content, 21).to(torch_type<kScalar>()).contiguous(layout.format);
    const at::Tensor addend = make_values(shape, Content::Ties, 22).to(torch_type<kScalar>()).contiguous(layout.format);
    for (const Direction direction : kDirections) {
      const ScanView view = scan_view(x, layout, direction);
      if ((view.inner > 1 ? view.inner : view.length) % kLanes != 0 || (view.inner > 1 && kLanes > cuda::kColumnLanes)) continue;
      for (const LaneOrder order : kOrders) {
        const std::string what = name_of(content) + std::string(layout.name) + name_of(direction) + " by " + std::to_string(kLanes);
        CanaryMemory<kScalar> from(x), to(x), sum(addend);
        const int warps = order == LaneOrder::Ascending ? 2 : 3;
        run_scan<kScalar, kLanes, false>(from.data(), to.data(), view, warps, order);
        check_same(to.tensor(what), naive_pool(x, direction), what);
        run_scan<kScalar, kLanes, true>(from.data(), sum.data(), view, warps, order);
        const at::Tensor expected = at::add(naive_pool(x, direction).to(at::kFloat), addend.to(at::kFloat)).to(x.scalar_type());
        check_same(sum.tensor(what), expected, what + " added");
      }
    }
  }
}

template <cuda::Scalar kScalar, typename Tile>
void check_tile(const std::vector<int64_t>& shape, Content content, const char* tile) {
  const Layout layout = kLayouts[1];
  const at::Tensor a = make_values(shape, content, 31).to(torch_type<kScalar>()).contiguous(layout.format);
  const at::Tensor b = make_values(shape, content, 32).to(torch_type<kScalar>()).contiguous(layout.format);
  for (const Direction vertical : {Direction::Top, Direction::Bottom}) {
    for (const Direction horizontal : {Direction::Left, Direction::Right}) {
      const PairView view = pair_view(a, layout, vertical, horizontal);
      for (const LaneOrder order : kOrders) {
        std::ostringstream what;
        what << tile << " " << at::IntArrayRef(shape) << " " << name_of(content) << " " << name_of(vertical) << " " << name_of(horizontal);
        CanaryMemory<kScalar> from_a(a), from_b(b), to(a);
        const int threads = static_cast<int>(cuda::pair_threads<Tile>(view.width));
        HostBlock block(threads, cuda::pair_shared_bytes<Tile>(threads), order);
        block.run(static_cast<unsigned>(view.batch * cuda::pair_slices<Tile>(view.channels)),
                  [&](HostContext& context) { cuda::pool_pair<kScalar, Tile>(context, from_a.data(), from_b.data(), to.data(), view); });
        check_same(to.tensor(what.str()), naive_pair(a, vertical, b, horizontal), what.str());
      }
    }
  }
}

template <cuda::Scalar kScalar>
void check_tiles() {
  using Tiles = cuda::PairTiles<typename Element<kScalar>::Raw>;
  for (const Content content : kContents) {
    // Widths of one part and of several warps, whole and not; heights that are no multiple of a step; channels that leave lanes idle.
    for (const auto& shape : std::vector<std::vector<int64_t>>{{1, 4, 1, 1}, {2, 36, 5, 9}, {1, 16, 3, 70}}) {
      check_tile<kScalar, typename Tiles::Wide>(shape, content, "Wide");
      check_tile<kScalar, typename Tiles::Narrow>(shape, content, "Narrow");
    }
  }
}

template <cuda::Scalar kScalar>
void check_backward_bodies() {
  for (const Layout& layout : kLayouts) {
    for (const Content content : kContents) {
      for (const auto& shape : std::vector<std::vector<int64_t>>{{1, 2, 1, 1}, {2, 5, 7, 33}, {1, 3, 40, 70}}) {
        const at::Tensor x = make_values(shape, content, 41).to(torch_type<kScalar>()).contiguous(layout.format);
        const at::Tensor grad = make_values(shape, Content::Ties, 42).to(torch_type<kScalar>()).contiguous(layout.format);
        for (const Direction direction : kDirections) {
          const ScanView view = scan_view(x, layout, direction);
          const std::string what = name_of(content) + std::string(layout.name) + name_of(direction);
          CanaryMemory<kScalar> from(x), grads(grad), to(x);
          HostBlock block(2 * kWarp, 0, LaneOrder::Ascending);
          block.run(static_cast<unsigned>((view.outer * view.inner + 2 * kWarp - 1) / (2 * kWarp)),
                    [&](HostContext& context) { cuda::scan_backward<kScalar>(context, grads.data(), from.data(), to.data(), view); });
          check_same(to.tensor(what), naive_pool(x, direction, grad), what);
        }
      }
    }
  }
}

template <cuda::Scalar kScalar>
void check_scan_bodies() {
  for (const Content content : kContents) {
    for (const auto& shape : std::vector<std::vector<int64_t>>{{1, 1, 1, 1}, {2, 3, 5, 37}, {1, 8, 60, 8}, {1, 2, 3, 296}}) {
      if (shape[2] * shape[3] > 200 && content != Content::Nan) continue;  // fibers are slow: the long ones once
      check_scans<kScalar, 1>(shape, content);
      check_scans<kScalar, 2>(shape, content);
      check_scans<kScalar, 4>(shape, content);
      if constexpr (kScalar != cuda::Scalar::Float32) check_scans<kScalar, 8>(shape, content);
    }
  }
}

const OnEveryScalar scans("corner_pool: the CUDA scans' bodies on the CPU equal the definition",
                          []<cuda::Scalar kScalar> { check_scan_bodies<kScalar>(); });
const OnEveryScalar tiles("corner_pool: the fused CUDA pair's body on the CPU equals the definition",
                          []<cuda::Scalar kScalar> { check_tiles<kScalar>(); });
const OnEveryScalar backward("corner_pool: the CUDA backward bodies on the CPU equal the definition",
                             []<cuda::Scalar kScalar> { check_backward_bodies<kScalar>(); });

}  // namespace
