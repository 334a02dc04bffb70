#include "ops/image.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "ops/cpu/kernels.h"
#include "runtime/error.h"

namespace cornernet {
namespace {

/// The 256 values a byte can become, for each of the network's channels.
LevelTable level_table(const Normalisation& normalisation, Numerics numerics) {
  LevelTable table{};
  table.divides = numerics == Numerics::Mmdet3 ? 1 : 0;
  for (int channel = 0; channel < 3; ++channel) {
    const auto at = static_cast<size_t>(channel);
    const float deviation = normalisation.std[at];
    // mmcv 1.x multiplies by the fp64 reciprocal, which OpenCV rounds to fp32; mmdetection 3.x divides.
    table.deviation[channel] = table.divides ? deviation : static_cast<float>(1.0 / static_cast<double>(deviation));
    table.mean[channel] = normalisation.mean[at];
    table.source_channel[channel] = normalisation.to_rgb ? channel : 2 - channel;
    for (int level = 0; level < 256; ++level) table.value[channel][level] = normalised(table, channel, static_cast<float>(level));
  }
  return table;
}

}  // namespace

int padded_size_px(int n) { return n | 127; }

SizePx scaled_size(SizePx size, double factor) {
  const auto [shorter, longer] = std::minmax(size.width, size.height);
  const double fitting = std::min(std::trunc(shorter * factor) / shorter, std::trunc(longer * factor) / longer);
  const auto side = [fitting](int px) { return static_cast<int>(px * fitting + 0.5); };
  const SizePx scaled{side(size.width), side(size.height)};
  if (scaled.width < 1 || scaled.height < 1) {
    throw Error(ErrorCode::Input, "the scale " + std::to_string(factor).substr(0, 5) + " leaves nothing of a picture of " +
                                      std::to_string(size.width) + "x" + std::to_string(size.height) + " pixels");
  }
  return scaled;
}

Placement place(int width_px, int height_px) {
  const int padded_width_px = padded_size_px(width_px), padded_height_px = padded_size_px(height_px);
  return {padded_width_px, padded_height_px, padded_width_px / 2 - width_px / 2, padded_height_px / 2 - height_px / 2};
}

InputPlan plan_input(const std::vector<PictureView>& pictures, bool flip, Numerics numerics, const Normalisation& normalisation) {
  if (pictures.empty()) throw Error(ErrorCode::Input, "a batch needs at least one picture");
  const Placement size = place(pictures[0].width_px, pictures[0].height_px);
  InputPlan plan{{}, level_table(normalisation, numerics), {}};
  for (const PictureView& picture : pictures) {
    const Placement placement = place(picture.width_px, picture.height_px);
    if (placement.padded_width_px != size.padded_width_px || placement.padded_height_px != size.padded_height_px) {
      throw Error(ErrorCode::Internal, "the pictures of a batch must share one padded size");
    }
    // Where a side is its own padded size, the reference's crop window ends one pixel early.
    plan.pictures.push_back({picture.rgb, picture.source_width_px, picture.source_height_px, picture.width_px, picture.height_px, placement.left_px,
                             placement.top_px, std::min(picture.width_px, size.padded_width_px - 1 - placement.left_px),
                             std::min(picture.height_px, size.padded_height_px - 1 - placement.top_px)});
  }
  const int views = static_cast<int>(pictures.size()) * (flip ? 2 : 1);
  plan.view = {views, flip ? 2 : 1, size.padded_width_px, size.padded_height_px, numerics == Numerics::Mmdet3};
  return plan;
}

at::Tensor empty_input(const InputPlan& plan, at::ScalarType dtype, at::Device device) {
  return at::empty(plan.sizes(), at::TensorOptions(dtype).device(device), at::MemoryFormat::ChannelsLast);
}

at::Tensor make_input(const InputPlan& plan, at::ScalarType dtype) {
  if (plan.view.channels != 3) throw Error(ErrorCode::Internal, "an input on the CPU has three channels");
  at::Tensor input = empty_input(plan, dtype, at::kCPU);
  cpu::make_input(plan.pictures, plan.table, plan.view, input);
  return input;
}

}  // namespace cornernet
