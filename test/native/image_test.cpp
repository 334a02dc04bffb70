// Padding, normalising and mirroring, and the CUDA kernel's body, against the reference's steps.
#include "ops/image.h"

#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "gpu_calls.h"
#include "host_block.h"
#include "op_cases.h"
#include "ops/cuda/image_body.cuh"
#include "test.h"

using namespace cornernet;
using namespace cornernet::testing;

namespace {

struct Drawn {
  std::vector<uint8_t> bytes;
  int width_px, height_px;
  PictureView view() const { return {bytes.data(), width_px, height_px}; }
  PictureView view_of(int width, int height) const { return {bytes.data(), width_px, height_px, width, height}; }
  float level(int y, int x, int byte) const { return bytes[(size_t{3} * y * width_px + size_t{3} * x) + byte]; }
};

Drawn draw(int width_px, int height_px, unsigned seed) {
  std::mt19937 random(seed);
  Drawn picture{std::vector<uint8_t>(size_t{3} * width_px * height_px), width_px, height_px};
  for (uint8_t& byte : picture.bytes) byte = static_cast<uint8_t>(random());
  return picture;
}

/// mmdetection's steps one after the other: paste the crop around the centre into a picture of means, mirror, normalise.
at::Tensor naive_view(const Drawn& picture, bool mirrored, Numerics numerics, const Normalisation& n) {
  const int w = picture.width_px, h = picture.height_px, tw = w | 127, th = h | 127;
  const bool mirror_first = mirrored && numerics == Numerics::Mmdet3;
  at::Tensor out = at::zeros({3, th, tw});
  auto o = out.accessor<float, 3>();
  const int x1 = std::min(w / 2 + tw / 2, w), y1 = std::min(h / 2 + th / 2, h);  // the crop ends before these
  for (int c = 0; c < 3; ++c) {
    for (int y = 0; y < y1; ++y) {
      for (int x = 0; x < x1; ++x) {
        const int from = mirror_first ? w - 1 - x : x;
        const float level = picture.bytes[(size_t{3} * y * w + size_t{3} * from) + (n.to_rgb ? c : 2 - c)];
        const float value = numerics == Numerics::Mmdet2 ? (level - n.mean[c]) * static_cast<float>(1.0 / static_cast<double>(n.std[c]))
                                                         : (level - n.mean[c]) / n.std[c];
        o[c][th / 2 - h / 2 + y][tw / 2 - w / 2 + x] = value;
      }
    }
  }
  return mirrored && !mirror_first ? out.flip({2}) : out;
}

/// A level of the picture resized to w x h: the corners' mean, each by the area opposite to it, in fp64.
double naive_level(const Drawn& picture, int w, int h, int y, int x, int byte) {
  const double fy = std::clamp((y + 0.5) * picture.height_px / h - 0.5, 0.0, picture.height_px - 1.0);
  const double fx = std::clamp((x + 0.5) * picture.width_px / w - 0.5, 0.0, picture.width_px - 1.0);
  double sum = 0;
  for (const int row : {static_cast<int>(fy), static_cast<int>(fy) + 1}) {
    for (const int column : {static_cast<int>(fx), static_cast<int>(fx) + 1}) {
      const double weight = (1 - std::abs(fy - row)) * (1 - std::abs(fx - column));
      if (weight > 0) sum += weight * picture.level(row, column, byte);
    }
  }
  return sum;
}

/// Resizing in fp32 rounds positions of up to some hundred pixels and levels of up to 255 by a few 1e-5 each; normalised, that is a fifty-eighth.
constexpr double kResizing = 2e-5;

void check_resized(const at::Tensor& input, const Drawn& picture, int w, int h) {
  const Placement at = place(w, h);
  const at::Tensor values = input.cpu().contiguous();
  const auto v = values.accessor<float, 4>();
  const Normalisation n;
  for (int view = 0; view < 2; ++view) {
    for (int c = 0; c < 3; ++c) {
      for (int y = 0; y < at.padded_height_px; ++y) {
        for (int x = 0; x < at.padded_width_px; ++x) {
          const int row = y - at.top_px, column = (view == 0 ? x : at.padded_width_px - 1 - x) - at.left_px;
          const bool inside = row >= 0 && column >= 0 && row < std::min(h, at.padded_height_px - 1 - at.top_px) &&
                              column < std::min(w, at.padded_width_px - 1 - at.left_px);
          const double wanted = inside ? (naive_level(picture, w, h, row, column, c) - n.mean[c]) / n.std[c] : 0;
          check(std::abs(v[view][c][y][x] - wanted) <= kResizing, "view ", view, " at (", x, ", ", y, ") is ", v[view][c][y][x], ", not ", wanted);
        }
      }
    }
  }
}

const std::vector<std::pair<int, int>> kSizes{{100, 90}, {127, 127}, {1, 1}, {1, 300}, {128, 126}, {255, 130}, {451, 300}};

/// The three channels of an input whose pixels are padded: a 1 and zeros are behind them.
at::Tensor unpadded(const at::Tensor& input) {
  check(input.size(1) == kPaddedChannels && input.is_contiguous(at::MemoryFormat::ChannelsLast), "pixels are not padded");
  check(input.select(1, 3).eq(1).all().item<bool>() && input.narrow(1, 4, kPaddedChannels - 4).eq(0).all().item<bool>(),
        "the padding is not 1 and zeros");
  return input.narrow(1, 0, 3).contiguous(at::MemoryFormat::ChannelsLast);
}

void check_views(const at::Tensor& input, const std::vector<Drawn>& pictures, bool flip, Numerics numerics, const Normalisation& n) {
  const int64_t each = flip ? 2 : 1;
  check(input.size(0) == each * static_cast<int64_t>(pictures.size()), "there are ", input.size(0), " views");
  check(input.is_contiguous(at::MemoryFormat::ChannelsLast), "the input is not channels-last");
  for (int64_t v = 0; v < input.size(0); ++v) {
    const at::Tensor wanted = naive_view(pictures[static_cast<size_t>(v / each)], v % each == 1, numerics, n).to(input.scalar_type());
    check(input[v].cpu().equal(wanted), "view ", v, " of a ", pictures[static_cast<size_t>(v / each)].width_px, " pixel wide picture differs");
  }
}

at::Tensor input_on(at::Device device, const std::vector<PictureView>& pictures, bool flip, Numerics numerics, const Normalisation& normalisation,
                    at::ScalarType type) {
  InputPlan plan = plan_input(pictures, flip, numerics, normalisation);
  if (device.is_cpu()) return make_input(plan, type);
  const at::Tensor input = input_on_gpu(plan, type);
  plan.view.channels = kPaddedChannels;
  check(unpadded(input_on_gpu(plan, type)).equal(input), "padded pixels have other values");
  return input;
}

void check_all(at::Device device) {
  Normalisation bgr;
  bgr.to_rgb = false;
  for (const auto& [w, h] : kSizes) {
    const std::vector<Drawn> pictures{draw(w, h, 1), draw(w, h, 2)};
    const std::vector<PictureView> views{pictures[0].view(), pictures[1].view()};
    for (const Numerics numerics : {Numerics::Mmdet2, Numerics::Mmdet3}) {
      for (const auto type : {at::kFloat, at::kBFloat16, at::kHalf}) {
        check_views(input_on(device, views, true, numerics, {}, type), pictures, true, numerics, {});
      }
      check_views(input_on(device, views, false, numerics, bgr, at::kFloat), pictures, false, numerics, bgr);
    }
  }
}

const Registration placed("image: pictures are padded to n | 127 and placed as the reference's borders say", [] {
  const Placement chelsea = place(451, 300);  // test/fixtures: pad_shape [383, 511], border [41, 341, 30, 481]
  check(chelsea.padded_width_px == 511 && chelsea.padded_height_px == 383 && chelsea.left_px == 30 && chelsea.top_px == 41, "chelsea lies elsewhere");
  const Placement odd = place(127, 127);
  check(odd.padded_width_px == 127 && odd.left_px == 0 && odd.top_px == 0, "a picture of its own padded size lies elsewhere");
});

const OnEveryDevice views("image: views equal the reference's steps", check_all);

const OnEveryDevice resized("image: resized views equal a naive resampling", [](at::Device device) {
  const Drawn picture = draw(100, 61, 5);
  for (const auto& [w, h] : std::vector<std::pair<int, int>>{{50, 31}, {49, 30}, {150, 92}, {127, 127}, {1, 1}, {300, 183}}) {
    check_resized(input_on(device, {picture.view_of(w, h)}, true, Numerics::Mmdet2, {}, at::kFloat), picture, w, h);
  }
  const Drawn dot = draw(1, 1, 6);
  check_resized(input_on(device, {dot.view_of(4, 4)}, true, Numerics::Mmdet2, {}, at::kFloat), dot, 4, 4);
});

const Registration sizes("image: scaled sizes are mmcv's", [] {
  // test/fixtures/hourglass52_tiny_scales_mmdet2.json: img_shape of each view
  const auto is = [](SizePx from, double factor, int width, int height) {
    const SizePx scaled = scaled_size(from, factor);
    check(scaled.width == width && scaled.height == height, from.width, "x", from.height, " by ", factor, " is ", scaled.width, "x", scaled.height);
  };
  is({451, 300}, 0.5, 225, 150);
  is({451, 300}, 0.75, 338, 225);
  is({451, 300}, 1.25, 563, 375);
  is({451, 300}, 1.5, 676, 450);
  is({127, 127}, 0.5, 63, 63);
  is({127, 127}, 1.25, 158, 158);
  is({300, 451}, 1, 300, 451);
  refused(ErrorCode::Input, [] { scaled_size({300, 1}, 0.5); });
});

const Registration body("image: the CUDA body on the CPU equals the definition", [] {
  const Drawn picture = draw(130, 90, 7);
  const Placement at = place(130, 90);
  LevelTable table{};
  for (int c = 0; c < 3; ++c) {
    table.source_channel[c] = c;
    table.mean[c] = Normalisation().mean[c];
    table.deviation[c] = static_cast<float>(1.0 / static_cast<double>(Normalisation().std[c]));
    for (int level = 0; level < 256; ++level) table.value[c][level] = normalised(table, c, static_cast<float>(level));
  }
  const auto filled = [&](const PictureJob& job) {
    const auto with = [&](int channels) {
      const InputView view{2, 2, padded_size_px(job.width_px), padded_size_px(job.height_px), false, channels};
      at::Tensor input = at::zeros({2, view.height_px, view.width_px, channels});
      const auto blocks = static_cast<unsigned>(2 * view.height_px * cuda::image_blocks_a_row(view));
      HostBlock(cuda::kImageThreads, 0, LaneOrder::Ascending).run(blocks, [&](HostContext& context) {
        cuda::fill_pixel<cuda::Scalar::Float32>(context, &job, &table, view, input.mutable_data_ptr<float>());
      });
      return input.permute({0, 3, 1, 2});
    };
    const at::Tensor input = with(3);
    check(unpadded(with(kPaddedChannels)).equal(input), "padded pixels have other values");
    return input;
  };
  check_views(filled({picture.bytes.data(), 130, 90, 130, 90, at.left_px, at.top_px, 130, 90}), {picture}, true, Numerics::Mmdet2, {});
  const Placement smaller = place(65, 45);
  check_resized(filled({picture.bytes.data(), 130, 90, 65, 45, smaller.left_px, smaller.top_px, 65, 45}), picture, 65, 45);
});

const Registration wrong("image: an empty batch and mixed padded sizes are refused", [] {
  refused(ErrorCode::Input, [] { plan_input({}, false, Numerics::Mmdet2, {}); });
  const Drawn a = draw(100, 100, 1), b = draw(200, 100, 1);
  refused(ErrorCode::Internal, [&] { plan_input({a.view(), b.view()}, false, Numerics::Mmdet2, {}); });
});

}  // namespace
