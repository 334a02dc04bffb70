// One prepared network on one device: pictures in, candidates of every view out.
#pragma once
#include <c10/core/StreamGuard.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/activation_memory.h"
#include "engine/detector.h"
#include "engine/device_calls.h"
#include "engine/device_clock.h"
#include "engine/device_lock.h"
#include "engine/forward_graphs.h"
#include "engine/forward_policy.h"
#include "engine/side_stream.h"
#include "nn/cornernet.h"
#include "ops/corner_decode.h"
#include "ops/image.h"

namespace cornernet {

/// What a detection's time on the device goes to.
enum Stage : size_t { kPrepare, kNetwork, kCorners, kStages };

class Predictor {
 public:
  /// `network` holds a checkpoint's tensors and is prepared here, with the numbers that `read` gives; for 8 bits where `int8` has layers. `runtime`
  /// is the device's, null on the CPU.
  Predictor(CornerNet network, const CornerNetConfig& config, at::ScalarType dtype, std::shared_ptr<DeviceRuntime> runtime, CudaRules rules,
            const TensorReader& read, const Int8Layers* int8 = nullptr);
  ~Predictor();

  /// What comes back waits for one entry a view, in the pictures' pixels, views of a picture side by side (plain, mirrored); it may be called once,
  /// on any thread. All pictures share one padded size. Views that do not fit into memory together run one after the other, whether that is known
  /// before or found out; one that does not fit alone is Error(OutOfMemory). `clock`, when given, laps as kPrepare, kNetwork and kCorners.
  std::function<DecodedViews()> start(const std::vector<PictureView>& pictures, const DetectOptions& options, DeviceClock* clock = nullptr);
  /// For one start(), on the stream where that will run.
  std::shared_ptr<DeviceClock> clock() const;

  /// The last level's maps of the plain view, in fp32 on the CPU.
  HeadMaps maps(const PictureView& picture, const DetectOptions& options);

  std::vector<Work> work(int64_t views, int64_t height_px, int64_t width_px) const { return network_.work(views, height_px, width_px, dtype_); }
  /// The views whose largest map cuDNN's 32-bit numbers still count.
  int64_t views_to_count(int64_t height_px, int64_t width_px);
  int64_t forwards() const { return forwards_; }
  int64_t views() const { return views_; }
  int64_t weight_bytes() const { return network_.weight_bytes(); }
  /// What its user should know, a sentence each, the oldest first; the first few of a kind that recurs.
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  using Sizes = ForwardGraphs::Sizes;
  using Candidates = std::function<DecodedViews()>;
  /// Of the stream that belongs to this network, on a GPU: nothing waits for other users of the device.
  c10::OptionalStreamGuard on_stream() const;
  /// What the maps are computed in.
  at::ScalarType dtype_for(const DetectOptions& options) const { return options.in_fp32 && dtype_ == at::kHalf ? at::kFloat : dtype_; }
  int64_t view_bytes(int64_t height_px, int64_t width_px, at::ScalarType dtype) const;
  /// Of a view: what the way around the hourglass takes when it is computed beside the way down.
  int64_t beside_bytes(int64_t height_px, int64_t width_px) const;
  /// Of the forward that is next, of an input in `dtype`.
  CudaRules rules(at::ScalarType dtype) const;
  int64_t views_that_fit(int64_t views, int64_t height_px, int64_t width_px, at::ScalarType dtype);
  /// Of the input that the network reads.
  InputPlan plan(const std::vector<PictureView>& pictures, bool flip, const DetectOptions& options) const;
  /// Of so many pictures that wait: how many the next forward takes.
  int64_t choose(int64_t pictures, int64_t views_a_picture, int64_t height_px, int64_t width_px);
  /// Lets go of what a forward that has too little memory could use.
  void release_memory();
  /// start() of pictures that share an input, `step` views in a forward.
  Candidates start_some(const std::vector<PictureView>& pictures, int64_t step, const DetectOptions& options, DeviceClock* clock);
  Candidates start_on_device(const std::vector<PictureView>& pictures, int64_t step, const DetectOptions& options, DeviceClock* clock);
  /// Records forwards of this size where they recur and memory allows.
  void record_if_due(const Sizes& sizes);
  /// A forward of this size gives figures of its memory, for which the device must do nothing else.
  bool is_measured(const Sizes& sizes) const;
  /// `alone`: the device does nothing else meanwhile; what is to be measured waits for that.
  HeadMaps forward(const at::Tensor& input, bool alone);
  /// The forward, watched.
  HeadMaps measure(const at::Tensor& input);
  HeadMaps compute(const at::Tensor& input);

  std::shared_ptr<DeviceRuntime> runtime_;
  std::optional<DeviceCalls> calls_;  // outlives what its stream works on
  std::optional<SideStream> side_;
  CornerNet network_;
  CornerNetConfig config_;
  at::ScalarType dtype_;
  CudaRules rules_;
  std::optional<ForwardGraphs> graphs_;
  ForwardPolicy policy_;   // on a GPU
  bool searched_ = false;  // whether the kernels of the forward that is next are
  ActivationMemory activations_;
  std::map<std::pair<int64_t, int64_t>, int64_t> views_to_count_;
  std::map<Sizes, int64_t> forwards_of_;  // by the input's sizes
  double bytes_a_pixel_ = 0;              // what the forward took that had the most pixels of those watched
  int64_t watched_pixels_ = 0;
  int64_t largest_bytes_ = 0;  // of the forwards so far, as far as it was known before them
  int64_t forwards_ = 0, views_ = 0;
  std::vector<std::string> warnings_;
};

}  // namespace cornernet
