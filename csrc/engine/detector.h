// The facade of the core: plain structs, no torch. Everything it throws is a cornernet::Error.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ops/candidate.h"
#include "ops/settings.h"
#include "ops/work.h"
#include "runtime/recycled_memory.h"

namespace cornernet {

/// A packed 8-bit RGB picture, row-major, 3 bytes a pixel.
struct Picture {
  RecycledBytes rgb;
  int width_px = 0;
  int height_px = 0;
};

struct LoadOptions {
  std::string path;
  std::string device = "auto";     // "auto", "cpu", "cuda", "cuda:N"
  std::string precision = "auto";  // "auto", "fp32", "bf16", "fp16", "int8"
  int threads = 0;                 // 0: the cores this process may use
  bool tf32 = false;               // CUDA: fp32 convolutions may round their inputs to TF32
  bool deterministic = false;      // CUDA: only algorithms that give the same bits each time
  bool cuda_graphs = true;         // CUDA: a forward is recorded for each input size and replayed
};

struct DetectOptions {
  Normalisation normalisation;
  DecodeOptions decode;
  SoftNmsOptions nms;
  bool flip = true;
  Numerics numerics = Numerics::Mmdet2;
  float score_threshold = 0.f;
  std::vector<int> class_ids;       // to keep; empty keeps all
  std::vector<double> scales{1.0};  // of each side; every picture is seen at each of them, and their boxes are merged
  bool in_fp32 = false;             // of a network in fp16, whose numbers end at 65504: computes the maps in fp32, with the weights as they are
  bool timings = false;             // measures the stages: on CUDA that costs events on the stream
};

/// Views of a picture this large, at each of the scales.
struct ForwardShape {
  int width_px = 0, height_px = 0, views = 1;
  std::vector<double> scales{1.0};
};

struct DetectorInfo {
  std::string device;     // "cpu", "cuda:0"
  std::string precision;  // "fp32", "bf16", "fp16", "int8"
  int threads = 0;
  std::vector<std::string> classes;  // from the checkpoint; empty when it names none
  int num_classes = 0;
};

/// Counters since loading, the bytes that the prepared network holds, and what its user should know, a sentence each.
struct DetectorStats {
  int64_t pictures = 0, forwards = 0, views = 0;
  int64_t weights_bytes = 0;
  std::vector<std::string> warnings;
};

/// A map before the sigmoid as fp32, channel-first: shape = {channels, height, width}.
struct Map {
  std::array<int64_t, 3> shape{};
  std::vector<float> values;
};

struct Heads {
  struct Side {
    Map heat, emb, off;
  };
  Side tl, br;
  int padded_width_px = 0, padded_height_px = 0, left_px = 0, top_px = 0;
};

/// How long the stages of the forward took that a picture was part of, in milliseconds.
struct StageTimes {
  double begun_ms = 0;                                    // on CLOCK_MONOTONIC
  double prepare = 0, network = 0, corners = 0, nms = 0;  // normalising and padding; the forward; peaks to pairs; merging views and soft-NMS
  int pictures = 0;                                       // that shared the forward
};

/// What pictures hold: a list each, in their order, in descending score.
struct Found {
  CandidateLists detections;
  std::vector<int> not_finite;      // pictures, by place, whose maps or boxes were infinite or NaN: their lists are empty
  std::vector<StageTimes> timings;  // one a picture, when they were asked for
};

/// The detections of several overlapping parts of a picture as one list, thinned and filtered like those of a picture.
std::vector<Candidate> merge_detections(std::vector<Candidate> detections, const DetectOptions& options);

/// One network on one device. Not thread-safe: one thread calls it.
class Detector {
 public:
  explicit Detector(const LoadOptions& options);
  ~Detector();
  const DetectorInfo& info() const;
  /// Those that the checkpoint's configuration states, the published one's else.
  const DetectOptions& defaults() const;
  DetectorStats stats() const;
  /// Gives the pictures to the network and returns when the next ones may come: on the CPU that is after the forward, on CUDA before it. What comes
  /// back waits for the device, merges the views and thins them. It may be called once, on any thread, also when this detector is gone.
  std::function<Found()> start(const std::vector<Picture>& pictures, const DetectOptions& options);
  /// The last level's maps of the plain padded view.
  Heads heads(const Picture& picture, const DetectOptions& options);
  /// What the network has to do, operator by operator in their order.
  std::vector<Work> work(const ForwardShape& shape) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// As Detector::work, for the published HourglassNet-104 in "fp32", "bf16" or "fp16"; needs no weights.
std::vector<Work> hourglass104_work(const ForwardShape& shape, const std::string& precision);

/// What a build and its machine's CPU offer; touches no GPU.
struct BuildInfo {
  std::string libtorch_version;
  bool cuda = false;                      // this build has the CUDA side
  std::string cuda_version;               // LibTorch's
  std::vector<std::string> cpu_features;  // as runtime/machine.h names them
  int cores = 0;                          // affinity and cgroup quota
};
BuildInfo build_info();

struct CudaDevice {
  int major = 0;          // of its compute capability
  bool has_code = false;  // whether this build holds kernels for it
  std::string obstacle;   // why it can't be used; empty where it can
};
struct GpuInfo {
  std::vector<CudaDevice> devices;
  int cudnn_version = 0;  // of the one that LibTorch found, 91002 for 9.10.2; 0 without
};
/// Runs a kernel on every GPU, which takes a context's memory on each, and loads cuDNN.
GpuInfo gpu_info();

/// Corner pooling on fp32 data of `shape` [..., height, width]; direction "top", "bottom", "left" or "right"; runs on `device`.
std::vector<float> corner_pool_f32(const std::vector<float>& data, const std::vector<int64_t>& shape, const std::string& direction,
                                   const std::string& device);

}  // namespace cornernet
