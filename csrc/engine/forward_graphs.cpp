#include "engine/forward_graphs.h"

#include "engine/guarded.h"
#include "runtime/error.h"

namespace cornernet {
namespace {

// A graph of the HourglassNet-104 takes a few megabytes besides the shared pool. COCO's pictures have some twenty padded sizes.
constexpr size_t kMostGraphs = 32;

}  // namespace

ForwardGraphs::ForwardGraphs(DeviceCalls& calls) : calls_(calls), graphs_(kMostGraphs) {}

ForwardGraphs::~ForwardGraphs() {
  graphs_.clear();
  count(0);
}

void ForwardGraphs::count(int64_t reserved_bytes) {
  calls_.runtime()->shared().recordings_idle_bytes += reserved_bytes - reserved_bytes_;
  reserved_bytes_ = reserved_bytes;
}

void ForwardGraphs::count_if_empty() {
  if (empty()) count(0);
}

void ForwardGraphs::forget(const Sizes& sizes) {
  graphs_.erase(sizes);
  count_if_empty();
}

const ForwardGraphs::Graph* ForwardGraphs::find(const Sizes& sizes) {
  const auto* const found = graphs_.find(sizes);
  return found == nullptr ? nullptr : found->get();
}

std::string ForwardGraphs::record(const at::Tensor& input, const Forward& forward) {
  DeviceRuntime& runtime = *calls_.runtime();
  graphs_.make_room();
  count_if_empty();
  if (empty()) pool_ = runtime.make_pool();  // one whose last graph went is not to be used again
  const int64_t before = runtime.memory().reserved;
  auto graph = std::make_unique<Graph>(live_);
  graph->input = input;
  std::string reason;
  bool lacks_memory = false;
  try {
    guarded([&] {
      RecordingSpan span(calls_.runtime(), calls_.stream(), pool_);
      graph->maps = maps_of(runtime.run(calls_.stream().get(), {input}, [input, forward] { return tensors_of(forward(input)); }));
      graph->recording = span.end();
    });
  } catch (const Error& error) {
    if (error.code() == ErrorCode::Closed) throw;
    reason = error.what();
    lacks_memory = error.code() == ErrorCode::OutOfMemory;
    graph.reset();
  }
  if (!lacks_memory) graphs_.insert(input.sizes().vec(), std::move(graph));
  count(reserved_bytes_ + runtime.memory().reserved - before);
  count_if_empty();
  return reason;
}

void ForwardGraphs::clear() {
  graphs_.clear();
  count(0);
  calls_.runtime()->release_idle();
}

}  // namespace cornernet
