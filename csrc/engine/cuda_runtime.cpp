// The runtime of CUDA devices: the one place where the engine calls CUDA and LibTorch's allocator there.
#include "engine/device_runtime.h"
#include "runtime/error.h"

#ifdef CORNERNET_CUDA
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include <array>

#include "ops/dispatch.h"
#endif

namespace cornernet {

#ifdef CORNERNET_CUDA
namespace {

namespace allocator = c10::cuda::CUDACachingAllocator;

constexpr auto kAll = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
constexpr size_t kMostDevices = 64;

void must(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  (void)cudaGetLastError();  // else the next check anywhere reports it
  throw Error(error == cudaErrorMemoryAllocation ? ErrorCode::OutOfMemory : ErrorCode::Device,
              std::string("CUDA error: ") + what + ": " + cudaGetErrorString(error));
}

void must_start(const cuda::LaunchStatus& status) { must(static_cast<cudaError_t>(status.code), "a kernel could not start"); }

/// For what frees: after a sticky error all that is left is to let go.
template <typename Body>
void at_best(Body body) noexcept {
  try {
    body();
  } catch (...) {
  }
  (void)cudaGetLastError();
}

cudaStream_t stream_of(DeviceRuntime::Handle handle) { return static_cast<cudaStream_t>(handle); }
cudaEvent_t event_of(DeviceRuntime::Handle handle) { return static_cast<cudaEvent_t>(handle); }

class CudaRuntime final : public DeviceRuntime {
 public:
  CudaRuntime(at::Device device, SharedDevice& shared) : device_(device), shared_(shared) {}

  at::Device device() const override { return device_; }
  SharedDevice& shared() override { return shared_; }

  Handle make_stream() override {
    const Guard guard(device_);
    cudaStream_t stream = nullptr;
    must(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "no stream can be had");
    return stream;
  }
  void free_stream(Handle stream) noexcept override {
    at_best([&] {
      const Guard guard(device_);
      (void)cudaStreamSynchronize(stream_of(stream));
      (void)cudaStreamDestroy(stream_of(stream));
    });
  }
  std::optional<c10::Stream> torch_stream(Handle stream) const override {
    return c10::cuda::getStreamFromExternal(stream_of(stream), device_.index()).unwrap();
  }

  Handle current_stream() const override { return c10::cuda::getCurrentCUDAStream(device_.index()).stream(); }

  Handle make_event() override {
    const Guard guard(device_);
    cudaEvent_t event = nullptr;
    must(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "no event can be had");
    return event;
  }
  void free_event(Handle event) noexcept override {
    at_best([&] {
      const Guard guard(device_);
      (void)cudaEventDestroy(event_of(event));
    });
  }
  // Any call makes a context on the calling thread's device, which is the first GPU until the thread says otherwise.
  void record(Handle event, Handle stream) override {
    const Guard guard(device_);
    must(cudaEventRecord(event_of(event), stream_of(stream)), "an event can't be recorded");
  }
  void wait(Handle stream, Handle event) override {
    const Guard guard(device_);
    must(cudaStreamWaitEvent(stream_of(stream), event_of(event), 0), "a stream can't wait");
  }
  void synchronize(Handle event) override {
    const Guard guard(device_);
    must(cudaEventSynchronize(event_of(event)), "the device failed");
  }
  bool is_past(Handle event) override {
    const Guard guard(device_);
    const cudaError_t error = cudaEventQuery(event_of(event));
    if (error == cudaErrorNotReady) (void)cudaGetLastError();
    if (error != cudaErrorNotReady) must(error, "the device failed");
    return error == cudaSuccess;
  }

  void* allocate_pinned(size_t bytes) override {
    const Guard guard(device_);
    void* memory = nullptr;
    must(cudaHostAlloc(&memory, bytes, cudaHostAllocDefault), "no pinned memory can be had");
    return memory;
  }
  void free_pinned(void* memory) noexcept override {
    at_best([&] {
      const Guard guard(device_);
      (void)cudaFreeHost(memory);
    });
  }
  void* allocate(size_t bytes, Handle stream) override {
    const Guard guard(device_);
    return allocator::raw_alloc_with_stream(bytes, stream_of(stream));
  }
  void free(void* memory) noexcept override {
    at_best([&] { allocator::raw_delete(memory); });
  }
  void upload(void* to, const void* from, size_t bytes, Handle stream) override {
    const Guard guard(device_);
    must(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream_of(stream)), "pictures can't be uploaded");
  }
  void download(void* to, const void* from, size_t bytes, Handle stream) override {
    const Guard guard(device_);
    must(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream_of(stream)), "results can't be downloaded");
  }

  Tensors run(Handle, const Tensors&, const std::function<Tensors()>& body) override { return body(); }
  void make_input(Handle stream, const PictureJob* pictures, const LevelTable* table, const InputView& view, const at::Tensor& input) override {
    const Guard guard(device_);
    must_start(cuda::make_input(pictures, table, view, input.mutable_data_ptr(), cuda::scalar_of(input), stream));
  }
  int collecting_blocks(const cuda::DecodeJob& job) override {
    const Guard guard(device_);
    return cuda::collecting_blocks(job);
  }
  void decode(Handle stream, const cuda::DecodeJob& job, cuda::Scalar scalar, const Tensors&, uint64_t* scratch, Candidate* candidates,
              int* counts) override {
    const Guard guard(device_);
    must_start(cuda::decode_corners(job, scalar, scratch, candidates, counts, stream));
  }

  PoolId make_pool() override { return at::cuda::graph_pool_handle(); }
  // LibTorch's own CUDAGraph leaves its allocator in a recording when the recording breaks. Nothing here takes pinned memory from LibTorch, so its
  // host allocator needs not to be told.
  void begin_recording(Handle stream, PoolId pool) override {
    // For the stream, and for those that wait for it meanwhile: the calling thread has the device to itself.
    allocator::beginAllocateToPool(device_.index(), pool, [](cudaStream_t one) {
      cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
      return cudaStreamIsCapturing(one, &status) == cudaSuccess && status == cudaStreamCaptureStatusActive;
    });
    // Other threads may allocate and wait meanwhile: only this one's calls are watched.
    const cudaError_t error = cudaStreamBeginCapture(stream_of(stream), cudaStreamCaptureModeThreadLocal);
    if (error == cudaSuccess) return mark_recording(*allocator::get(), true);
    leave_pool(pool);
    must(error, "a recording can't begin");
  }
  Handle end_recording(Handle stream, PoolId pool) override {
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t ready = nullptr;
    cudaError_t error = cudaStreamEndCapture(stream_of(stream), &graph);
    at_best([&] { mark_recording(*allocator::get(), false); });
    at_best([&] { allocator::endAllocateToPool(device_.index(), pool); });
    if (error == cudaSuccess) error = cudaGraphInstantiateWithFlags(&ready, graph, 0);
    if (graph != nullptr) (void)cudaGraphDestroy(graph);
    if (error != cudaSuccess) at_best([&] { allocator::releasePool(device_.index(), pool); });
    must(error, "a recording broke");
    return ready;
  }
  void abandon_recording(Handle stream, PoolId pool) noexcept override {
    at_best([&] {
      cudaGraph_t graph = nullptr;
      (void)cudaStreamEndCapture(stream_of(stream), &graph);
      if (graph != nullptr) (void)cudaGraphDestroy(graph);
    });
    at_best([&] { mark_recording(*allocator::get(), false); });
    leave_pool(pool);
  }
  void launch(Handle recording, Handle stream) override {
    const Guard guard(device_);
    must(cudaGraphLaunch(static_cast<cudaGraphExec_t>(recording), stream_of(stream)), "a recording can't be launched");
  }
  void free_recording(Handle recording, PoolId pool) noexcept override {
    at_best([&] {
      const Guard guard(device_);
      (void)cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(recording));
    });
    at_best([&] { allocator::releasePool(device_.index(), pool); });
  }

  Memory memory() override {
    const Guard guard(device_);
    size_t free = 0, total = 0;
    must(cudaMemGetInfo(&free, &total), "the device's memory can't be asked for");
    const auto stats = allocator::getDeviceStats(device_.index());
    return {static_cast<int64_t>(free), stats.reserved_bytes[kAll].current, stats.allocated_bytes[kAll].current, stats.allocated_bytes[kAll].peak};
  }
  void count_peak_anew() override { allocator::resetPeakStats(device_.index()); }
  // LibTorch goes through every device's memory: one that failed is no reason to give up this one.
  void release_idle() noexcept override {
    at_best([] { allocator::emptyCache(); });
  }

 private:
  using Guard = c10::cuda::CUDAGuard;

  /// From 2.13 on LibTorch's allocator tells tensors that come from a pool and a stream that is recorded apart: told of the second, it neither frees
  /// memory nor asks for events, either of which would break the recording. Before, the pool said both.
  template <typename Allocator>
  void mark_recording(Allocator& of, bool begins) {
    if constexpr (requires { of.markCaptureBegin(device_.index()); }) {
      begins ? of.markCaptureBegin(device_.index()) : of.markCaptureEnd(device_.index());
    }
  }
  void leave_pool(PoolId pool) noexcept {
    at_best([&] { allocator::endAllocateToPool(device_.index(), pool); });
    at_best([&] { allocator::releasePool(device_.index(), pool); });
  }

  at::Device device_;
  SharedDevice& shared_;
};

SharedDevice& shared_of(at::Device device) {
  static std::array<SharedDevice, kMostDevices> every;
  return every.at(static_cast<size_t>(device.index()));
}

}  // namespace

std::shared_ptr<DeviceRuntime> runtime_of(at::Device device) {
  if (device.is_cpu()) return nullptr;
  return std::make_shared<CudaRuntime>(device, shared_of(device));
}

#else

std::shared_ptr<DeviceRuntime> runtime_of(at::Device device) {
  if (device.is_cpu()) return nullptr;
  throw Error(ErrorCode::Device, kNoCudaSide);
}

#endif

}  // namespace cornernet
