// Calls to a GPU around a network's forward: pictures up, the network's input, and the candidates back, through slots that are used again.
#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "engine/device_runtime.h"
#include "ops/corner_decode.h"
#include "ops/image.h"

namespace cornernet {

/// All of them, in one order; and back.
DeviceRuntime::Tensors tensors_of(const HeadMaps& maps);
HeadMaps maps_of(const DeviceRuntime::Tensors& tensors);

/// Streams and slots of one predictor, for one thread. Computing has a stream of its own, and so have uploads, so that a batch's pictures arrive
/// while the one before is in the network. What pinned and device memory a call needs lies in its slot, which the next call takes once its results
/// are read: nothing is allocated, freed or noted for a running stream.
class DeviceCalls {
 public:
  explicit DeviceCalls(std::shared_ptr<DeviceRuntime> runtime);
  /// Waits for the device and gives back the memory that nobody uses.
  ~DeviceCalls();
  DeviceCalls(const DeviceCalls&) = delete;
  DeviceCalls& operator=(const DeviceCalls&) = delete;

  const std::shared_ptr<DeviceRuntime>& runtime() const { return runtime_; }
  /// Where everything but uploads runs, and whoever gives LibTorch work for this device has to.
  const DeviceStream& stream() const { return compute_; }

  class Call;
  /// Copies the pictures and sends them on their way; `views` has one entry for each of the plan's. `options` are those that decode() will go by.
  Call begin(const InputPlan& plan, const std::vector<ViewGeometry>& views, const DecodeOptions& options);

 private:
  struct Slot;
  struct Slots;
  /// Takes an idle slot, or a new one, and returns it in the end.
  class Lease;
  /// fp32 copies on the CPU; waits for the stream.
  HeadMaps to_host(const HeadMaps& maps);

  std::shared_ptr<DeviceRuntime> runtime_;
  DeviceStream compute_, copies_;
  std::shared_ptr<Slots> slots_;
};

/// What one begin() began; outlived by its DeviceCalls.
class DeviceCalls::Call {
 public:
  /// Fills the input of all views.
  void make_input(const at::Tensor& input);
  /// Decodes the maps of the next views.
  void decode(const HeadMaps& maps);
  /// Sends the candidates back. What returns waits for them, on any thread, once, also when the DeviceCalls are gone.
  std::function<DecodedViews()> finish();
  /// Instead: the maps themselves, as fp32 copies on the CPU; waits for them.
  HeadMaps finish_with(const HeadMaps& maps);

 private:
  friend class DeviceCalls;
  Call(DeviceCalls& calls, std::shared_ptr<Lease> lease, const InputPlan& plan, std::vector<ViewGeometry> views, const DecodeOptions& options);

  DeviceCalls& calls_;
  std::shared_ptr<Lease> lease_;
  InputView view_;
  std::vector<ViewGeometry> views_;
  DecodeOptions options_;
  size_t jobs_at_ = 0, geometry_at_ = 0;  // in the uploaded bytes, behind the table
  size_t decoded_ = 0;                    // views so far
  DecodedViews by_host_;                  // all of them or none, as what a kernel can't decode is the options' and the maps' kind
};

}  // namespace cornernet
