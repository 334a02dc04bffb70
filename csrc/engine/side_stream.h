// A second stream beside a predictor's own, on which its network computes what need not wait (nn/beside.h).
#pragma once
#include <memory>

#include "engine/device_runtime.h"
#include "nn/beside.h"

namespace cornernet {

/// Work on it begins behind all that the predictor's stream was given, and that stream goes on behind the work: so nothing of LibTorch's memory is
/// used again, on either, under the other's hands. It is recorded with what is recorded on the predictor's stream.
class SideStream final : public Beside {
 public:
  SideStream(std::shared_ptr<DeviceRuntime> runtime, const DeviceStream& main);
  at::Tensor begin(const at::Tensor& input, const std::function<at::Tensor()>& work) override;
  void end() noexcept override;

 private:
  std::shared_ptr<DeviceRuntime> runtime_;
  const DeviceStream& main_;
  DeviceStream side_;
  DeviceEvent begun_, done_;
  at::Tensor input_, result_;  // until end()
};

}  // namespace cornernet
