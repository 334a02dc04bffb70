// Forwards on a GPU that are recorded once for each input size and then launched as one: a launch instead of several hundred.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/device_calls.h"
#include "ops/corner_decode.h"
#include "runtime/lru_cache.h"

namespace cornernet {

/// All recordings read the network's own weights and share one pool of memory for what lies between, so they run one after the other, on one stream.
class ForwardGraphs {
 public:
  using Sizes = std::vector<int64_t>;
  using Forward = std::function<HeadMaps(const at::Tensor&)>;
  struct Graph {
    explicit Graph(int& of) : live(of) { ++live; }
    ~Graph() { --live; }
    Graph(const Graph&) = delete;
    Graph& operator=(const Graph&) = delete;

    int& live;
    at::Tensor input;  // to be filled before each launch
    HeadMaps maps;     // hold until the next launch of any graph
    std::unique_ptr<Recording> recording;
  };

  explicit ForwardGraphs(DeviceCalls& calls);
  /// The calling thread has the device to itself, or nobody does.
  ~ForwardGraphs();

  /// Null unless inputs of this size were recorded.
  const Graph* find(const Sizes& sizes);
  /// False too for what can't be recorded.
  bool wants(const Sizes& sizes) { return graphs_.find(sizes) == nullptr; }
  /// Records `forward(input)`, which must have run for this size before, so that algorithms are chosen. The calling thread has the device to itself.
  /// Returns the reason why it couldn't be recorded, empty when it was, and remembers the size, unless memory was what lacked; passes on that the
  /// call was given up.
  std::string record(const at::Tensor& input, const Forward& forward);
  /// Lets go of the graph of this size, if there is one: its kernels are no longer the ones to run.
  void forget(const Sizes& sizes);
  /// Lets go of every graph and of their memory.
  void clear();
  bool empty() const { return live_ == 0; }
  /// Of the pool.
  int64_t reserved_bytes() const { return reserved_bytes_; }

 private:
  /// Recordings' memory is counted as in use by the device's others too.
  void count(int64_t reserved_bytes);
  /// A pool whose last recording went holds nothing.
  void count_if_empty();

  DeviceCalls& calls_;
  int live_ = 0;
  LruCache<Sizes, std::unique_ptr<Graph>> graphs_;  // null for what can't be recorded
  DeviceRuntime::PoolId pool_{};
  int64_t reserved_bytes_ = 0;
};

}  // namespace cornernet
