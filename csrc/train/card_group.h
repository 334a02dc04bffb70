// The GPUs of the processes that train together: sums and broadcasts between them, by NCCL.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <string>

#include "engine/device_runtime.h"
#include "train/nccl.h"
#include "train/pending.h"

namespace cornernet::train {

/// A card each. What it does follows what LibTorch's current stream has been given, on a stream of its own; who has waited for it sees what it wrote.
class CardGroup {
 public:
  /// Returns when all processes have come, with the same id. `look` is called meanwhile, and may throw. Throws std::runtime_error, also when they
  /// have not come after two minutes.
  CardGroup(const Nccl& nccl, std::shared_ptr<DeviceRuntime> runtime, const Nccl::Id& id, int rank, int processes, const std::function<void()>& look);
  ~CardGroup();
  CardGroup(const CardGroup&) = delete;
  CardGroup& operator=(const CardGroup&) = delete;

  /// The sum over all processes, in place, of a dense fp32 tensor on this process's card.
  std::unique_ptr<Pending> begin_sum(const at::Tensor& values);
  /// Rank 0's numbers, to all; dense, of any type.
  std::unique_ptr<Pending> begin_broadcast(const at::Tensor& values);
  /// Ends what still waits for others, so that its tensors are free: nothing more can be begun. NCCL may itself wait for another process of this
  /// machine, which may have been stopped: after five seconds it, and what the GPU still does, are left to the process's end.
  void abandon() noexcept;

 private:
  class Transfer;
  std::unique_ptr<Pending> begin(const std::function<int(DeviceRuntime::Handle stream)>& operation);

  const Nccl& nccl_;
  std::shared_ptr<DeviceRuntime> runtime_;
  DeviceStream stream_;
  Nccl::Communicator communicator_ = nullptr;
};

}  // namespace cornernet::train
