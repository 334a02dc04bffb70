// What the engine asks of a GPU: streams, events, memory, copies, recordings and its own kernels. cuda_runtime.cpp asks CUDA; the stand-in of the
// tests (test/native/stand_in.h) does all on the CPU and reports what is not in order.
#pragma once
#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <c10/core/Stream.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/device_lock.h"
#include "ops/cuda/corner_decode_job.h"
#include "ops/cuda/portable.h"
#include "ops/image_job.h"

namespace cornernet {

/// Handles belong to the owners below, which alone call what makes and frees them. What frees never throws: after a sticky error of the device it can
/// only let go. Everything else throws c10::Error or Error(Device, OutOfMemory).
class DeviceRuntime {
 public:
  using Handle = void*;
  using PoolId = std::pair<uint64_t, uint64_t>;
  using Tensors = std::vector<at::Tensor>;

  virtual ~DeviceRuntime() = default;
  /// Where its tensors are.
  virtual at::Device device() const = 0;
  virtual SharedDevice& shared() = 0;

  virtual Handle make_stream() = 0;
  /// Waits for what the stream still has to do.
  virtual void free_stream(Handle stream) noexcept = 0;
  /// For LibTorch, which takes it for its current stream; none where it has no streams.
  virtual std::optional<c10::Stream> torch_stream(Handle stream) const = 0;
  /// LibTorch's current one, of the calling thread: only to record events on.
  virtual Handle current_stream() const = 0;

  virtual Handle make_event() = 0;
  virtual void free_event(Handle event) noexcept = 0;
  virtual void record(Handle event, Handle stream) = 0;
  /// What `stream` is given from now on waits for the event.
  virtual void wait(Handle stream, Handle event) = 0;
  /// The calling thread waits.
  virtual void synchronize(Handle event) = 0;
  /// Whether what was before the event is done: then the calling thread sees it.
  virtual bool is_past(Handle event) = 0;

  virtual void* allocate_pinned(size_t bytes) = 0;
  virtual void free_pinned(void* memory) noexcept = 0;
  /// Used by `stream` first.
  virtual void* allocate(size_t bytes, Handle stream) = 0;
  virtual void free(void* memory) noexcept = 0;
  virtual void upload(void* to, const void* from, size_t bytes, Handle stream) = 0;
  virtual void download(void* to, const void* from, size_t bytes, Handle stream) = 0;

  /// Runs `body`, which gives LibTorch's operators to `stream`, the current one; it reads `inputs` and returns what it writes.
  virtual Tensors run(Handle stream, const Tensors& inputs, const std::function<Tensors()>& body) = 0;
  /// Our kernels; `input` and the job's maps are tensors of this device, every other pointer is memory that allocate() gave.
  virtual void make_input(Handle stream, const PictureJob* pictures, const LevelTable* table, const InputView& view, const at::Tensor& input) = 0;
  virtual int collecting_blocks(const cuda::DecodeJob& job) = 0;
  virtual void decode(Handle stream, const cuda::DecodeJob& job, cuda::Scalar scalar, const Tensors& maps, uint64_t* scratch, Candidate* candidates,
                      int* counts) = 0;

  virtual PoolId make_pool() = 0;
  /// What `stream`, the current one, is given from now on is recorded instead of done, and tensors come from `pool`, which the recording keeps.
  virtual void begin_recording(Handle stream, PoolId pool) = 0;
  /// The recording, ready to be launched. Throws when it broke; it is over then too.
  virtual Handle end_recording(Handle stream, PoolId pool) = 0;
  virtual void abandon_recording(Handle stream, PoolId pool) noexcept = 0;
  virtual void launch(Handle recording, Handle stream) = 0;
  virtual void free_recording(Handle recording, PoolId pool) noexcept = 0;

  struct Memory {
    int64_t free, reserved, allocated, peak_allocated;  // free of the device; the others of LibTorch's allocator there
  };
  virtual Memory memory() = 0;
  virtual void count_peak_anew() = 0;
  /// Gives what LibTorch's allocator holds unused back to the device.
  virtual void release_idle() noexcept = 0;

  /// What the host does with pinned memory, and where one of its threads hands work to another: nothing to CUDA, all to whoever checks the order.
  virtual void host_touches(const void* /*memory*/, size_t /*bytes*/, bool /*writes*/) {}
  virtual void host_hands_over(const void* /*what*/) {}
  virtual void host_takes_over(const void* /*what*/) {}
  /// What LibTorch's operators on a stream do with a tensor that another stream uses too; for the same.
  virtual void tensor_used(Handle /*stream*/, const at::Tensor& /*tensor*/, bool /*written*/) {}
};

/// Null for the CPU; Error(Device) for a CUDA device in a build without the CUDA side.
std::shared_ptr<DeviceRuntime> runtime_of(at::Device device);

/// The owner of a handle or memory of a runtime, which it keeps alive.
template <typename T>
class Owned {
 public:
  Owned() = default;
  Owned(std::shared_ptr<DeviceRuntime> runtime, T owned, void (DeviceRuntime::*free)(T) noexcept)
      : runtime_(std::move(runtime)), owned_(owned), free_(free) {}
  Owned(Owned&& other) noexcept { swap(other); }
  Owned& operator=(Owned&& other) noexcept {
    Owned(std::move(other)).swap(*this);
    return *this;
  }
  ~Owned() {
    if (runtime_) (runtime_.get()->*free_)(owned_);
  }
  T get() const { return owned_; }
  explicit operator bool() const { return runtime_ != nullptr; }

 private:
  void swap(Owned& other) noexcept {
    std::swap(runtime_, other.runtime_);
    std::swap(owned_, other.owned_);
    std::swap(free_, other.free_);
  }
  std::shared_ptr<DeviceRuntime> runtime_;
  T owned_{};
  void (DeviceRuntime::*free_)(T) noexcept = nullptr;
};

/// Of its own: no other owner is ever given the same one, which LibTorch's pool of 32 streams does not promise.
class DeviceStream {
 public:
  explicit DeviceStream(const std::shared_ptr<DeviceRuntime>& runtime) : owned_(runtime, runtime->make_stream(), &DeviceRuntime::free_stream) {}
  DeviceRuntime::Handle get() const { return owned_.get(); }

 private:
  Owned<DeviceRuntime::Handle> owned_;
};

class DeviceEvent {
 public:
  explicit DeviceEvent(const std::shared_ptr<DeviceRuntime>& runtime)
      : runtime_(runtime.get()), owned_(runtime, runtime->make_event(), &DeviceRuntime::free_event) {}
  void record(const DeviceStream& on) { runtime_->record(owned_.get(), on.get()); }
  /// On LibTorch's current stream.
  void record_current() { runtime_->record(owned_.get(), runtime_->current_stream()); }
  void let_wait(const DeviceStream& stream) { runtime_->wait(stream.get(), owned_.get()); }
  void synchronize() { runtime_->synchronize(owned_.get()); }
  bool is_past() { return runtime_->is_past(owned_.get()); }

 private:
  DeviceRuntime* runtime_;
  Owned<DeviceRuntime::Handle> owned_;
};

/// Memory that grows to what is asked of it and is kept; growing loses what was in it.
class GrowingMemory {
 public:
  enum class Kind { Pinned, Device };
  GrowingMemory(std::shared_ptr<DeviceRuntime> runtime, Kind kind) : runtime_(std::move(runtime)), kind_(kind) {}
  /// At least so many bytes; on the device used by `stream` first. Nobody may still use what was there.
  std::byte* at_least(size_t bytes, const DeviceStream& stream);
  std::byte* get() const { return static_cast<std::byte*>(memory_.get()); }

 private:
  std::shared_ptr<DeviceRuntime> runtime_;
  Kind kind_;
  Owned<void*> memory_;
  size_t bytes_ = 0;
};

/// What a stream was given while it was recorded.
class Recording {
 public:
  Recording(std::shared_ptr<DeviceRuntime> runtime, DeviceRuntime::Handle handle, DeviceRuntime::PoolId pool)
      : runtime_(std::move(runtime)), handle_(handle), pool_(pool) {}
  ~Recording() { runtime_->free_recording(handle_, pool_); }
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;
  void launch(const DeviceStream& on) const { runtime_->launch(handle_, on.get()); }

 private:
  std::shared_ptr<DeviceRuntime> runtime_;
  DeviceRuntime::Handle handle_;
  DeviceRuntime::PoolId pool_;
};

/// The span in which a stream is recorded: whatever ends it, LibTorch's allocator and the stream are as before.
class RecordingSpan {
 public:
  RecordingSpan(std::shared_ptr<DeviceRuntime> runtime, const DeviceStream& stream, DeviceRuntime::PoolId pool)
      : runtime_(std::move(runtime)), stream_(stream.get()), pool_(pool) {
    runtime_->begin_recording(stream_, pool_);
  }
  ~RecordingSpan() {
    if (!over_) runtime_->abandon_recording(stream_, pool_);
  }
  RecordingSpan(const RecordingSpan&) = delete;
  RecordingSpan& operator=(const RecordingSpan&) = delete;
  std::unique_ptr<Recording> end() {
    over_ = true;
    return std::make_unique<Recording>(runtime_, runtime_->end_recording(stream_, pool_), pool_);
  }

 private:
  std::shared_ptr<DeviceRuntime> runtime_;
  DeviceRuntime::Handle stream_;
  DeviceRuntime::PoolId pool_;
  bool over_ = false;
};

}  // namespace cornernet
