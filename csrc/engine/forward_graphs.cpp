#include "engine/forward_graphs.h"

#ifdef CORNERNET_CUDA
#include <ATen/cuda/CUDAGraph.h>
#include <ATen/ops/empty_like.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <cuda_runtime_api.h>
#endif

namespace cornernet {
namespace {

// A graph of the HourglassNet-104 takes a few megabytes besides the shared pool. COCO's pictures have some twenty padded sizes.
constexpr size_t kMostGraphs = 32;

}  // namespace

#ifdef CORNERNET_CUDA

struct ForwardGraphs::Graph {
  at::Tensor input;
  HeadMaps maps;
  at::cuda::CUDAGraph recording;
};

namespace {

/// Ends a recording that failed, as far as it had begun.
void give_up(at::cuda::CUDAGraph& recording) {
  try {
    recording.capture_end();
  } catch (const c10::Error&) {
    (void)cudaGetLastError();  // else the next check anywhere reports it
  }
}

}  // namespace

HeadMaps ForwardGraphs::run(const at::Tensor& input, const Forward& forward) {
  const std::unique_ptr<Graph>* const found = graphs_.find(input.sizes().vec());
  if (found == nullptr) return record_and_run(input, forward);
  if (!*found) return forward(input);
  (*found)->input.copy_(input, /*non_blocking=*/true);
  (*found)->recording.replay();
  return (*found)->maps;
}

HeadMaps ForwardGraphs::record_and_run(const at::Tensor& input, const Forward& forward) {
  graphs_.make_room();
  if (graphs_.empty()) pool_ = at::cuda::graph_pool_handle();  // a pool whose last graph went is not to be used again
  auto graph = std::make_unique<Graph>();
  graph->input = at::empty_like(input);
  graph->input.copy_(input, /*non_blocking=*/true);
  c10::cuda::CUDACachingAllocator::emptyCache();  // the graphs' pool can't take from what lies idle elsewhere
  bool recorded = false;
  try {
    // Other threads may allocate and wait meanwhile: only this one's calls are watched.
    graph->recording.capture_begin(pool_, cudaStreamCaptureModeThreadLocal);
    graph->maps = forward(graph->input);
    graph->recording.capture_end();
    recorded = true;
  } catch (...) {
    give_up(graph->recording);
  }
  if (recorded) {
    graph->recording.replay();
    return graphs_.insert(input.sizes().vec(), std::move(graph))->maps;
  }
  graph.reset();
  HeadMaps maps = forward(input);  // throws what the recording met, if it was more than not to be recordable
  graphs_.insert(input.sizes().vec(), nullptr);
  return maps;
}

void ForwardGraphs::clear() {
  if (graphs_.empty()) return;
  graphs_.clear();
  c10::cuda::CUDACachingAllocator::emptyCache();
}

#else

struct ForwardGraphs::Graph {};

HeadMaps ForwardGraphs::run(const at::Tensor& input, const Forward& forward) { return forward(input); }
void ForwardGraphs::clear() { graphs_.clear(); }

#endif

ForwardGraphs::ForwardGraphs() : graphs_(kMostGraphs) {}
ForwardGraphs::~ForwardGraphs() = default;

}  // namespace cornernet
