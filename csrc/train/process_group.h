// Those that train one network together, a process or a GPU of a process each: over LibTorch's c10d they meet at a store, add tensors up over gloo,
// and hear of each other's end; GPUs add up over NCCL.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "train/pending.h"

namespace at {
class Tensor;
}
namespace cornernet {
class DeviceRuntime;
}

namespace cornernet::train {

/// One process's place among those that train together, as torchrun's variables say it.
struct Membership {
  int rank = 0, processes = 1;
  std::string address;  // of the store, where rank 0 is
  int port = 0;
  bool hosted = false;            // whether somebody else, as torchrun, already keeps the store there
  std::string prefix;             // of the store's keys, which may outlive a try
  double seconds = 300;           // in which all must have come
  std::chrono::seconds dead{20};  // without a sign of life
};

/// One thread calls it. Whatever fails because of another process is Error(Peer), and says which and why as far as it is known.
class ProcessGroup {
 public:
  /// Waits until every process has come.
  explicit ProcessGroup(const Membership& membership);
  /// For tensors on the runtime's GPU, known everywhere by the name `card`. All call it, for a GPU each: NCCL moves them where it is there and every
  /// process has a GPU of its own; else they go through the host's memory, and the result says why.
  std::string use_card(const std::shared_ptr<DeviceRuntime>& runtime, const std::string& card);
  ~ProcessGroup();

  int rank() const;
  int processes() const;
  /// Whether two are in one process, where what frees or maps a GPU's memory may wait for all GPUs: for one, too, that waits for its part of a sum.
  bool shares_process() const;
  /// The words of every process, by rank. All call it, in the same order as everything below.
  std::vector<std::string> exchange(const std::string& words);
  /// Rank 0's numbers, to all; dense.
  void broadcast(const at::Tensor& values);
  /// The sum over all processes, in place, of a dense tensor (on a GPU of fp32): the same bits everywhere.
  void sum(const at::Tensor& values);

  /// The same, without waiting for it: the values are not to be touched until finish().
  std::shared_ptr<Pending> begin_sum(const at::Tensor& values);
  void finish(Pending& pending);

  /// Throws when another process has ended or is no longer heard of: for who waits for something else meanwhile.
  void check() const;
  /// Whether check() throws.
  bool has_ended() const;
  /// Tells the others why this process ends; without a reason that it is done.
  void leave(const std::string& why) noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cornernet::train
