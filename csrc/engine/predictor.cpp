#include "engine/predictor.h"

#include <ATen/Context.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>
#include <utility>

#include "engine/device_memory.h"
#include "engine/guarded.h"
#include "ops/conv.h"
#include "runtime/error.h"

namespace cornernet {
namespace {

// A view's feature map: half the padded size twice, rounded up; padded sizes are odd, so (n + 1) / 4.
int64_t map_size(int64_t padded_px) { return (padded_px + 1) / 4; }

// Of forwards nobody has watched yet: at the peak they hold this many maps as wide as the first stage at feature resolution (the stem's output, two
// inside a residual block, the way around, one of scratch), and the result's maps beside them.
constexpr int64_t kPeakMaps = 5;

// Input sizes that are remembered: a bound for a stream of ever new ones.
constexpr size_t kMostSizes = 512;

/// From cells of a view's feature map back to the picture's pixels.
ViewGeometry geometry_of(const PictureView& picture) {
  const Placement placement = place(picture.width_px, picture.height_px);
  const int width_px = placement.padded_width_px, height_px = placement.padded_height_px;
  return {static_cast<float>(width_px) / static_cast<float>(map_size(width_px)),
          static_cast<float>(height_px) / static_cast<float>(map_size(height_px)), static_cast<float>(placement.left_px),
          static_cast<float>(placement.top_px)};
}

std::string gigabytes(int64_t bytes) {
  const int64_t tenths = (bytes + 50'000'000) / 100'000'000;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " GB";
}

/// LibTorch holds these for the whole process, so they are set before each forward. PyTorch's own defaults allow TF32 and search for no algorithm.
void apply(const CudaRules& rules) {
  at::Context& context = at::globalContext();
  context.setAllowTF32CuDNN(rules.tf32);
  context.setAllowTF32CuBLAS(rules.tf32);
  context.setDeterministicCuDNN(rules.deterministic);
  context.setBenchmarkCuDNN(!rules.deterministic);  // the fastest algorithm is searched once a shape, and kept
}

}  // namespace

Predictor::Predictor(CornerNet network, const CornerNetConfig& config, at::ScalarType dtype, at::Device device, CudaRules rules,
                     const TensorReader& read)
    : network_(std::move(network)), config_(config), dtype_(dtype), device_(device), rules_(rules) {
  if (device.is_cuda()) stream_ = c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device);
  const auto on_this_stream = on_stream();
  network_.prepare(dtype, device, read);
}

int64_t Predictor::view_bytes(int64_t height_px, int64_t width_px) const {
  const int64_t input = 3 * height_px * width_px * static_cast<int64_t>(c10::elementSize(dtype_));
  if (watched_pixels_ > 0) return static_cast<int64_t>(bytes_a_pixel_ * static_cast<double>(height_px * width_px)) + input;
  const int64_t cells = map_size(height_px) * map_size(width_px);
  const int64_t width = std::max({config_.backbone.stage_channels[0], config_.backbone.feat_channels, config_.head.branch_channels,
                                  2 * config_.head.pool_channels, 2 * config_.backbone.stem_channels});
  const int64_t heads = 2 * (config_.head.num_classes + 3);
  return cells * (kPeakMaps * width + heads) * static_cast<int64_t>(c10::elementSize(dtype_)) + input;
}

int64_t Predictor::views_that_fit(int64_t views, int64_t height_px, int64_t width_px) const {
  const int64_t one = view_bytes(height_px, width_px);
  const int64_t available = available_bytes(device_);
  if (one > available) {
    throw Error(ErrorCode::OutOfMemory, "a padded view of " + std::to_string(width_px) + "x" + std::to_string(height_px) + " pixels needs about " +
                                            gigabytes(one) + " on " + device_.str() + ", where " + gigabytes(available) +
                                            " are available; use a lower precision or a smaller picture");
  }
  return std::clamp<int64_t>(available / one, 1, views);
}

HeadMaps Predictor::forward(const at::Tensor& input) {
  if (device_.is_cuda()) apply(rules_);
  ++forwards_;
  views_ += input.size(0);
  if (forwards_of_.size() == kMostSizes) forwards_of_.clear();
  // The first forward of a size packs weights or searches for algorithms, and takes memory for that.
  const int64_t before = forwards_of_[input.sizes().vec()]++;
  std::optional<ActivationMemory::Use> reused;
  if (device_.is_cpu()) reused.emplace(activations_);
  if (before == 1) return measure(input);
  if (before > 1 && device_.is_cuda() && rules_.graphs) return graphs_.run(input, [this](const at::Tensor& x) { return network_.forward(x); });
  return network_.forward(input);
}

HeadMaps Predictor::measure(const at::Tensor& input) {
  const int64_t packed_before = packed_layouts();
  const PeakMemory peak(device_, activations_);
  HeadMaps maps = network_.forward(input);
  if (packed_layouts() != packed_before) {  // many sizes take turns: the next time will do
    forwards_of_[input.sizes().vec()] = 1;
    return maps;
  }
  const int64_t pixels = input.size(0) * input.size(2) * input.size(3);
  if (pixels >= watched_pixels_) {  // small ones pay for more than their maps
    watched_pixels_ = pixels;
    bytes_a_pixel_ = static_cast<double>(peak.bytes()) / static_cast<double>(pixels);
  }
  return maps;
}

std::shared_ptr<DeviceClock> Predictor::clock() const {
  const auto on_this_stream = on_stream();
  return std::make_shared<DeviceClock>(device_);
}

std::function<DecodedViews()> Predictor::start(const std::vector<PictureView>& pictures, const DetectOptions& options, DeviceClock* clock) {
  const auto on_this_stream = on_stream();
  const int64_t views_a_picture = options.flip ? 2 : 1;
  const int height_px = padded_size_px(pictures.front().height_px), width_px = padded_size_px(pictures.front().width_px);
  int64_t step = views_that_fit(std::ssize(pictures) * views_a_picture, height_px, width_px);
  Parts parts;
  for (auto picture = pictures.begin(); picture != pictures.end();) {
    const std::vector<PictureView> some(picture, picture + std::clamp<int64_t>(step / views_a_picture, 1, pictures.end() - picture));
    step = std::min(step, std::ssize(some) * views_a_picture);
    try {
      Parts more = guarded([&] { return start_some(some, step, options, clock); });
      std::move(more.begin(), more.end(), std::back_inserter(parts));
      picture += std::ssize(some);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::OutOfMemory || step == 1) throw;
      graphs_.clear();
      activations_.release();
      step = (step + 1) / 2;
    }
  }
  return [parts = std::move(parts)] {
    DecodedViews found;
    for (const auto& part : parts) {
      auto some = part();
      std::move(some.begin(), some.end(), std::back_inserter(found));
    }
    return found;
  };
}

Predictor::Parts Predictor::start_some(const std::vector<PictureView>& pictures, int64_t step, const DetectOptions& options, DeviceClock* clock) {
  const auto lap = [clock](Stage stage) {
    if (clock != nullptr) clock->lap(stage);
  };
  const at::Tensor input = make_input(pictures, options.flip, options.numerics, options.normalisation, dtype_, device_);
  lap(kPrepare);
  Parts parts;
  for (int64_t first = 0; first < input.size(0); first += step) {
    const int64_t count = std::min(step, input.size(0) - first);
    std::vector<ViewGeometry> geometry;
    for (int64_t view = first; view < first + count; ++view) {
      geometry.push_back(geometry_of(pictures[static_cast<size_t>(options.flip ? view / 2 : view)]));
    }
    const HeadMaps maps = forward(input.narrow(0, first, count));
    lap(kNetwork);
    parts.push_back(start_decoding(maps, geometry, options.decode));
    lap(kCorners);
  }
  return parts;
}

HeadMaps Predictor::maps(const PictureView& picture, const DetectOptions& options) {
  const auto on_this_stream = on_stream();
  views_that_fit(1, padded_size_px(picture.height_px), padded_size_px(picture.width_px));
  return forward(make_input({picture}, false, options.numerics, options.normalisation, dtype_, device_));
}

}  // namespace cornernet
