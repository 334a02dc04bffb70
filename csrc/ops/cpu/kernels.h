// The CPU side of every operator. Tensors are checked, dense and of one dtype and layout; the last one is written.
#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

#include "ops/corner_decode.h"
#include "ops/image_job.h"
#include "ops/norm.h"
#include "ops/scan_view.h"
#include "ops/upsample_view.h"
#include "ops/winograd_tiles.h"

namespace cornernet::cpu {

void corner_pool(const at::Tensor& x, const ScanView& view, at::Tensor& y);
void corner_pool_backward(const at::Tensor& grad_y, const at::Tensor& x, const ScanView& view, at::Tensor& grad_x);
/// y = (a pooled along rows, downwards or upwards) + (b pooled along columns).
void corner_pool_pair(const at::Tensor& a, const at::Tensor& b, const PairView& view, at::Tensor& y);

/// y = skip + nearest(low, size of skip).
void upsample_add(const at::Tensor& low, const at::Tensor& skip, const UpsampleView& view, at::Tensor& y);

/// Both of uint8 maps, whose sum is rounded: y = pooled a * factor_a + pooled b * factor_b.
void corner_pool_pair_bytes(const at::Tensor& a, float factor_a, const at::Tensor& b, float factor_b, const PairView& view, at::Tensor& y);
void upsample_add_bytes(const at::Tensor& low, float factor_low, const at::Tensor& skip, float factor_skip, const UpsampleView& view, at::Tensor& y);

/// Maps are channels-last; ops/norm.h says the rest.
void channel_moments(const at::Tensor& x, at::Tensor& mean, at::Tensor& variance);
void apply_norm(const at::Tensor& x, const ChannelAffine& affine, const at::Tensor& residual, bool relu, at::Tensor& y);
void apply_norm_backward(const at::Tensor& grad_y, const at::Tensor& x, const ChannelAffine& affine, const at::Tensor& residual, bool relu,
                         const at::Tensor& mean, const at::Tensor& inverse_deviation, bool measured, NormGradients& gradients);

/// bytes = x * factor + zero_point, rounded; y = (bytes - zero_point) * scale; rounded[o, ...] = weight[o, ...] / scale[o], rounded.
void quantize(const at::Tensor& x, float factor, float zero_point, at::Tensor& bytes);
void dequantize(const at::Tensor& bytes, float scale, float zero_point, at::Tensor& y);
void quantize_weight(const at::Tensor& weight, const at::Tensor& scale, at::Tensor& rounded);

/// Of `tiles` tiles of a channels-last map, beginning with `first`, what Winograd's 36 points see of it, and of a result's gradient; [36, tiles,
/// channels].
void winograd_seen(const at::Tensor& x, const TiledMap& map, int64_t first, int64_t tiles, at::Tensor& points);
void winograd_result_gradient(const at::Tensor& grad_y, const TiledMap& map, int64_t first, int64_t tiles, at::Tensor& points);
/// The other way: y's values of these tiles.
void winograd_result(const at::Tensor& points, const TiledMap& map, int64_t first, int64_t tiles, at::Tensor& y);

/// Fills every element; `input` is channels-last.
void make_input(const std::vector<PictureJob>& pictures, const LevelTable& table, const InputView& view, at::Tensor& input);

/// Of maps on the CPU.
DecodedViews decode_corners(const HeadMaps& maps, const std::vector<ViewGeometry>& views, const DecodeOptions& options);

}  // namespace cornernet::cpu
