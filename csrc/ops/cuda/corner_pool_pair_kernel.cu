// The fused kernel of two corner poolings and their sum, and the launcher that chooses between it and two kernels.
#include "ops/cuda/corner_pool_pair_body.cuh"
#include "ops/cuda/launch.cuh"

namespace cornernet::cuda {

template <Scalar kScalar, typename Tile, typename Raw = typename Element<kScalar>::Raw>
__global__ void __launch_bounds__(kPairThreads) pool_pair_kernel(const Raw* a, const Raw* b, Raw* y, PairView view) {
  DeviceContext context;
  pool_pair<kScalar, Tile>(context, a, b, y, view);
}

namespace {

struct Operands {
  const void *a, *b;
  void* y;
  void* stream;

  bool aligned(int64_t bytes) const { return aligned_to(a, bytes) && aligned_to(b, bytes) && aligned_to(y, bytes); }
};

/// Whether a row fits a block, and the blocks together give every multiprocessor enough threads.
template <typename Tile>
bool suits(const PairView& view) {
  constexpr int64_t kMostElements = int64_t{1} << 31;  // of a plane: PairPart's offsets
  const int64_t threads = pair_threads<Tile>(view.width), blocks = view.batch * pair_slices<Tile>(view.channels);
  return threads <= kPairThreads && view.height * view.width * view.channels < kMostElements &&
         blocks * threads >= int64_t{kPairBusyThreads} * multiprocessors();
}

template <Scalar kScalar, typename Tile>
LaunchStatus launch_tile(const Operands& on, const PairView& view) {
  using Raw = typename Element<kScalar>::Raw;
  const int64_t threads = pair_threads<Tile>(view.width);
  return start(pool_pair_kernel<kScalar, Tile>, view.batch * pair_slices<Tile>(view.channels), threads,
               pair_shared_bytes<Tile>(static_cast<int>(threads)), on.stream, static_cast<const Raw*>(on.a), static_cast<const Raw*>(on.b),
               static_cast<Raw*>(on.y), view);
}

LaunchStatus launch_both(const Operands& on, Scalar scalar, const PairView& view) {
  const PairScans scans = scans_of(view);
  const LaunchStatus first = corner_pool(on.a, on.y, scalar, scans.vertical, on.stream);
  return first.code != 0 ? first : corner_pool_add(on.b, on.y, on.y, scalar, scans.horizontal, on.stream);
}

template <Scalar kScalar>
LaunchStatus launch_pair(const Operands& on, const PairView& view) {
  using Raw = typename Element<kScalar>::Raw;
  using Tiles = PairTiles<Raw>;
  constexpr int64_t kChannels = Tiles::Wide::kChannels;
  if (view.channels % kChannels != 0 || !on.aligned(kChannels * sizeof(Raw))) return launch_both(on, kScalar, view);
  const bool many_blocks = view.batch * pair_slices<typename Tiles::Wide>(view.channels) >= 2 * multiprocessors();
  if (many_blocks && suits<typename Tiles::Wide>(view)) return launch_tile<kScalar, typename Tiles::Wide>(on, view);
  if (suits<typename Tiles::Narrow>(view)) return launch_tile<kScalar, typename Tiles::Narrow>(on, view);
  return launch_both(on, kScalar, view);
}

}  // namespace

LaunchStatus corner_pool_pair(const void* a, const void* b, void* y, Scalar scalar, const PairView& view, void* stream) {
  const Operands on{a, b, y, stream};
  return with_scalar(scalar, [&](auto tag) { return launch_pair<decltype(tag)::kScalar>(on, view); });
}

}  // namespace cornernet::cuda
