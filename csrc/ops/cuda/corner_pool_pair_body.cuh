// The body of the fused kernel of two corner poolings and their sum.
#pragma once
#include "ops/cuda/corner_pool_body.cuh"

namespace cornernet::cuda {

constexpr int kPairThreads = 512;  // of a block at most

/// How a block of pool_pair is laid out: a thread owns kColumns columns of kChannels channels, kChannelLanes neighbouring threads share a column.
template <int kColumnCount, int kChannelCount, int kChannelLaneCount, int kRowCount>
struct PairTile {
  static constexpr int kColumns = kColumnCount, kChannels = kChannelCount, kChannelLanes = kChannelLaneCount, kRows = kRowCount;
};

/// Threads of a block that covers `width` columns, in whole warps.
template <typename Tile>
constexpr int64_t pair_threads(int64_t width) {
  return ((width + Tile::kColumns - 1) / Tile::kColumns * Tile::kChannelLanes + kWarp - 1) / kWarp * kWarp;
}

/// Blocks along the channels.
template <typename Tile>
constexpr int64_t pair_slices(int64_t channels) {
  return (channels + Tile::kChannels * Tile::kChannelLanes - 1) / (Tile::kChannels * Tile::kChannelLanes);
}

/// Two buffers of one fp32 total for each row, warp and channel.
template <typename Tile>
constexpr int pair_shared_bytes(int threads) {
  return 2 * Tile::kRows * (threads / kWarp) * Tile::kChannelLanes * Tile::kChannels * static_cast<int>(sizeof(float));
}

/// A thread's elements of one row: of each of its columns, in scan order, its channels.
template <typename Tile, typename Raw>
struct PairRow {
  Pack<Raw, Tile::kChannels> columns[Tile::kColumns];

  CORNERNET_DEVICE void fill(Raw value) {
#pragma unroll
    for (int k = 0; k < Tile::kColumns; ++k) {
#pragma unroll
      for (int c = 0; c < Tile::kChannels; ++c) columns[k].set(c, value);
    }
  }
};

/// A thread's part of every row, counted in positions of its plane, which fit 32 bits, and elements of it too (the launcher sees to both): that
/// halves the registers they take.
template <typename Tile, typename Raw>
struct PairPart {
  int channels;  // elements of a position
  int first;     // of its columns, in the first row in scan order
  int row_step, column_step;
  int columns;  // how many of its columns lie inside

  CORNERNET_DEVICE PairPart(const PairView& view, int64_t channel, int column) {
    const auto width = static_cast<int>(view.width), height = static_cast<int>(view.height);
    channels = static_cast<int>(view.channels);
    row_step = view.reverse_rows ? -width : width;
    column_step = view.reverse_columns ? -1 : 1;
    first = (view.reverse_rows ? (height - 1) * width : 0) + (view.reverse_columns ? width - 1 - column : column);
    columns = channel < view.channels ? width - column : 0;
  }

  /// Row i (in scan order); what lies outside stays as it is. `from` is the thread's first channel in the plane's first position.
  CORNERNET_DEVICE void read(const Raw* from, int i, PairRow<Tile, Raw>& row) const {
    from += (first + i * row_step) * channels;
#pragma unroll
    for (int k = 0; k < Tile::kColumns; ++k) {
      if (k < columns) row.columns[k] = load_pack<Tile::kChannels>(from + k * column_step * channels);
    }
  }
  CORNERNET_DEVICE void write(Raw* to, int i, const PairRow<Tile, Raw>& row) const {
    to += (first + i * row_step) * channels;
#pragma unroll
    for (int k = 0; k < Tile::kColumns; ++k) {
      if (k < columns) store_pack(to + k * column_step * channels, row.columns[k]);
    }
  }
};

/// Moves a thread's maxima on by one row; the row of `a` becomes the sums. `horizontal` comes from the parts before this one.
template <Scalar kScalar, typename Tile, typename Raw>
CORNERNET_DEVICE void sum_row(PairRow<Tile, Raw>& a, const PairRow<Tile, Raw>& b, float (&vertical)[Tile::kColumns][Tile::kChannels],
                              float (&horizontal)[Tile::kChannels]) {
  using E = Element<kScalar>;
#pragma unroll
  for (int c = 0; c < Tile::kChannels; ++c) {
#pragma unroll
    for (int k = 0; k < Tile::kColumns; ++k) {
      vertical[k][c] = running_max(vertical[k][c], E::load(a.columns[k].get(c)));
      horizontal[c] = running_max(horizontal[c], E::load(b.columns[k].get(c)));
      a.columns[k].set(c, E::store(vertical[k][c] + horizontal[c]));
    }
  }
}

/// y = (a pooled along rows, downwards or upwards) + (b pooled along columns).
/// Memory: a block walks the rows of a slice of one picture's channels (maps are channels-last) and keeps every column's maximum in registers; a and
/// b are read once, the next rows while the present ones are computed, y is written once, in pieces of at least 32 bytes. Cost: a shuffle scan over
/// the row's parts, and one sync for kRows rows.
template <Scalar kScalar, typename Tile, typename Context, typename Raw = typename Element<kScalar>::Raw>
CORNERNET_DEVICE void pool_pair(Context& context, const Raw* a, const Raw* b, Raw* y, const PairView& view) {
  using E = Element<kScalar>;
  constexpr int kRows = Tile::kRows, kColumns = Tile::kColumns, kChannels = Tile::kChannels, kChannelLanes = Tile::kChannelLanes;
  const int lane = context.thread() % kWarp, warp = context.thread() / kWarp, warps = context.threads() / kWarp;
  const int channel_lane = context.thread() % kChannelLanes;
  const int64_t slices = pair_slices<Tile>(view.channels);
  const int64_t channel = (context.block() % slices * kChannelLanes + channel_lane) * kChannels;
  const int64_t plane = context.block() / slices * view.height * view.width;
  const PairPart<Tile, Raw> part(view, channel, context.thread() / kChannelLanes * kColumns);
  const int height = static_cast<int>(view.height);
  a += plane * view.channels + channel;
  b += plane * view.channels + channel;
  y += plane * view.channels + channel;
  float* const totals = reinterpret_cast<float*>(context.shared());

  float vertical[kColumns][kChannels];
#pragma unroll
  for (int k = 0; k < kColumns; ++k) {
#pragma unroll
    for (int c = 0; c < kChannels; ++c) vertical[k][c] = lowest();
  }
  PairRow<Tile, Raw> next_a[kRows], next_b[kRows];
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    next_a[r].fill(E::store(lowest()));
    next_b[r].fill(E::store(lowest()));
    if (r >= height) continue;
    part.read(a, r, next_a[r]);
    part.read(b, r, next_b[r]);
  }

  int buffer = 0;
  for (int i = 0; i < height; i += kRows, buffer ^= 1) {
    PairRow<Tile, Raw> now_a[kRows], now_b[kRows];
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      now_a[r] = next_a[r];
      now_b[r] = next_b[r];
      if (i + kRows + r >= height) continue;
      part.read(a, i + kRows + r, next_a[r]);
      part.read(b, i + kRows + r, next_b[r]);
    }
    // Two buffers make one sync enough: totals of the next rows go where nobody still reads.
    float* const shared = totals + buffer * kRows * warps * kChannelLanes * kChannels;
    float before[kRows][kChannels];
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
#pragma unroll
      for (int c = 0; c < kChannels; ++c) {
        float total = lowest();
#pragma unroll
        for (int k = 0; k < kColumns; ++k) total = running_max(total, E::load(now_b[r].columns[k].get(c)));
        total = scan_warp<kChannelLanes>(context, total, before[r][c]);
        if (lane >= kWarp - kChannelLanes) shared[((r * warps + warp) * kChannelLanes + channel_lane) * kChannels + c] = total;
      }
    }
    if (warps > 1) context.sync();
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      if (i + r >= height) continue;
#pragma unroll
      for (int c = 0; c < kChannels; ++c) {
        float earlier = lowest();
        for (int w = 0; w < warp; ++w) earlier = running_max(earlier, shared[((r * warps + w) * kChannelLanes + channel_lane) * kChannels + c]);
        before[r][c] = running_max(earlier, before[r][c]);
      }
      sum_row<kScalar, Tile>(now_a[r], now_b[r], vertical, before[r]);
      part.write(y, i + r, now_a[r]);
    }
  }
}

// Threads a multiprocessor must have for one fused kernel rather than two. A thread has 128 bytes in flight (two rows of both inputs, or one in
// fp32); an H100's 36 bytes a nanosecond a multiprocessor times 700 ns ask for 25 KB; two kernels move 5/3 of the memory, so 3/5 of that breaks even.
constexpr int kPairBusyThreads = 120;

/// Columns and channels a thread, and rows a step, such that two steps of both inputs and the maxima fit 128 registers.
template <typename Raw>
struct PairTiles {
  static constexpr int kRows = sizeof(Raw) == 4 ? 1 : 2;
  using Wide = PairTile<4, 4, 8, kRows>;    // 64 or 128 bytes of a pixel
  using Narrow = PairTile<4, 4, 4, kRows>;  // 32 or 64 bytes: more blocks
};

}  // namespace cornernet::cuda
