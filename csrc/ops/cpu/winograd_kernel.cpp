#include <algorithm>

#include "ops/cpu/kernels.h"
#include "ops/cpu/widest_vectors.h"

namespace cornernet::cpu {
namespace {

constexpr int64_t kSide = TiledMap::kSide, kSeen = TiledMap::kSeen, kLane = TiledMap::kLane;

/// Neighbouring channels.
struct Lane {
  float value[kLane];

  static Lane load(const float* from) {
    Lane lane;
    for (int64_t i = 0; i < kLane; ++i) lane.value[i] = from[i];
    return lane;
  }
  void store(float* to) const {
    for (int64_t i = 0; i < kLane; ++i) to[i] = value[i];
  }
  friend Lane operator+(const Lane& a, const Lane& b) {
    Lane sum;
    for (int64_t i = 0; i < kLane; ++i) sum.value[i] = a.value[i] + b.value[i];
    return sum;
  }
  friend Lane operator-(const Lane& a, const Lane& b) {
    Lane difference;
    for (int64_t i = 0; i < kLane; ++i) difference.value[i] = a.value[i] - b.value[i];
    return difference;
  }
  friend Lane operator*(float factor, const Lane& a) {
    Lane product;
    for (int64_t i = 0; i < kLane; ++i) product.value[i] = factor * a.value[i];
    return product;
  }
};

/// Of six values what the points see of them (Lavin and Gray's transposed B).
inline void see(const Lane (&d)[kSeen], Lane (&v)[kSeen]) {
  const Lane even = d[4] - 4 * d[2], odd = d[3] - 4 * d[1], near = d[4] - d[2], far = 2 * (d[3] - d[1]);
  v[0] = 4 * (d[0] - d[2]) + near;
  v[1] = even + odd;
  v[2] = even - odd;
  v[3] = near + far;
  v[4] = near - far;
  v[5] = 4 * d[1] - 5 * d[3] + d[5];
}

/// From six points to four results (transposed A).
inline void result(const Lane (&m)[kSeen], Lane (&y)[kSide]) {
  const Lane sum = m[1] + m[2], difference = m[1] - m[2], sum2 = m[3] + m[4], difference2 = m[3] - m[4];
  y[0] = m[0] + sum + sum2;
  y[1] = difference + 2 * difference2;
  y[2] = sum + 4 * sum2;
  y[3] = difference + 8 * difference2 + m[5];
}

/// The way back of result().
inline void result_gradient(const Lane (&y)[kSide], Lane (&m)[kSeen]) {
  const Lane even = y[0] + y[2], odd = y[1] + y[3], even2 = y[0] + 4 * y[2], odd2 = 2 * y[1] + 8 * y[3];
  m[0] = y[0];
  m[1] = even + odd;
  m[2] = even - odd;
  m[3] = even2 + odd2;
  m[4] = even2 - odd2;
  m[5] = y[3];
}

/// A tile's place in its map.
struct Place {
  int64_t picture, row, column;

  Place(const TiledMap& map, int64_t tile)
      : picture(tile / (map.rows() * map.columns())), row(tile / map.columns() % map.rows() * kSide), column(tile % map.columns() * kSide) {}
};

/// What lies outside of the map is 0.
inline Lane value_at(const float* x, const TiledMap& map, int64_t picture, int64_t row, int64_t column, int64_t channel) {
  if (row < 0 || row >= map.height || column < 0 || column >= map.width) return Lane{};
  return Lane::load(x + ((picture * map.height + row) * map.width + column) * map.channels + channel);
}

/// Transforms `From`x`From` values at (row, column) along both axes to the 36 points.
template <int64_t kFrom, typename Transform>
inline void to_points(const float* x, const TiledMap& map, const Place& place, int64_t border, int64_t channel, const Transform& transform, float* to,
                      int64_t point_step) {
  Lane half[kFrom][kSeen];  // transformed down, by column
  for (int64_t j = 0; j < kFrom; ++j) {
    Lane column[kFrom];
    for (int64_t i = 0; i < kFrom; ++i) column[i] = value_at(x, map, place.picture, place.row + i - border, place.column + j - border, channel);
    transform(column, half[j]);
  }
  for (int64_t i = 0; i < kSeen; ++i) {
    Lane row[kFrom], points[kSeen];
    for (int64_t j = 0; j < kFrom; ++j) row[j] = half[j][i];
    transform(row, points);
    for (int64_t j = 0; j < kSeen; ++j) points[j].store(to + (i * kSeen + j) * point_step);
  }
}

/// loop(tile's number in the block, its place, channel) for all, compiled for the widest vectors.
template <typename Loop>
void for_each_lane(const TiledMap& map, int64_t first, int64_t tiles, const Loop& loop) {
  with_widest_vectors([&] {
    for (int64_t t = 0; t < tiles; ++t) {
      const Place place(map, first + t);
      for (int64_t c = 0; c < map.channels; c += kLane) loop(t, place, c);
    }
  });
}

}  // namespace

void winograd_seen(const at::Tensor& x, const TiledMap& map, int64_t first, int64_t tiles, at::Tensor& points) {
  const float* const from = x.const_data_ptr<float>();
  float* const to = points.mutable_data_ptr<float>();
  for_each_lane(map, first, tiles, [&](int64_t t, const Place& place, int64_t c) {
    to_points<kSeen>(
        from, map, place, 1, c, [](const Lane(&d)[kSeen], Lane(&v)[kSeen]) { see(d, v); }, to + t * map.channels + c, tiles * map.channels);
  });
}

void winograd_result_gradient(const at::Tensor& grad_y, const TiledMap& map, int64_t first, int64_t tiles, at::Tensor& points) {
  const float* const from = grad_y.const_data_ptr<float>();
  float* const to = points.mutable_data_ptr<float>();
  for_each_lane(map, first, tiles, [&](int64_t t, const Place& place, int64_t c) {
    to_points<kSide>(
        from, map, place, 0, c, [](const Lane(&y)[kSide], Lane(&m)[kSeen]) { result_gradient(y, m); }, to + t * map.channels + c,
        tiles * map.channels);
  });
}

void winograd_result(const at::Tensor& points, const TiledMap& map, int64_t first, int64_t tiles, at::Tensor& y) {
  const float* const from = points.const_data_ptr<float>();
  float* const to = y.mutable_data_ptr<float>();
  const int64_t point_step = tiles * map.channels;
  for_each_lane(map, first, tiles, [&](int64_t t, const Place& place, int64_t c) {
    const float* const tile = from + t * map.channels + c;
    Lane half[kSeen][kSide];  // by the points' rows
    for (int64_t i = 0; i < kSeen; ++i) {
      Lane row[kSeen];
      for (int64_t j = 0; j < kSeen; ++j) row[j] = Lane::load(tile + (i * kSeen + j) * point_step);
      result(row, half[i]);
    }
    for (int64_t j = 0; j < std::min(kSide, map.width - place.column); ++j) {
      Lane column[kSeen], results[kSide];
      for (int64_t i = 0; i < kSeen; ++i) column[i] = half[i][j];
      result(column, results);
      for (int64_t i = 0; i < std::min(kSide, map.height - place.row); ++i)
        results[i].store(to + ((place.picture * map.height + place.row + i) * map.width + place.column + j) * map.channels + c);
    }
  });
}

}  // namespace cornernet::cpu
