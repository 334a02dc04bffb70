// Forwards on a CUDA device that are recorded once for each input size and then replayed: one launch instead of several hundred.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "ops/corner_decode.h"
#include "runtime/lru_cache.h"

namespace cornernet {

/// All graphs read the network's own weights and share one pool of memory for what lies between, so they run one after the other, on one stream.
class ForwardGraphs {
 public:
  using Forward = std::function<HeadMaps(const at::Tensor&)>;

  ForwardGraphs();
  ~ForwardGraphs();

  /// What `forward(input)` gives; it must have run for this size before, so that algorithms are chosen. The maps hold until the next run. A size
  /// that can't be recorded runs as it is from then on. Without CUDA in this build it always does.
  HeadMaps run(const at::Tensor& input, const Forward& forward);
  /// Lets go of every graph and of their memory.
  void clear();

 private:
  struct Graph;
  HeadMaps record_and_run(const at::Tensor& input, const Forward& forward);

  LruCache<std::vector<int64_t>, std::unique_ptr<Graph>> graphs_;  // by the input's sizes; null for what can't be recorded
  std::pair<uint64_t, uint64_t> pool_{};
};

}  // namespace cornernet
