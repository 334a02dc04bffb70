#include "engine/side_stream.h"

#include <c10/core/StreamGuard.h>

#include <utility>

namespace cornernet {

SideStream::SideStream(std::shared_ptr<DeviceRuntime> runtime, const DeviceStream& main)
    : runtime_(std::move(runtime)), main_(main), side_(runtime_), begun_(runtime_), done_(runtime_) {}

at::Tensor SideStream::begin(const at::Tensor& input, const std::function<at::Tensor()>& work) {
  runtime_->tensor_used(main_.get(), input, /*written=*/true);
  input_ = input;
  begun_.record(main_);
  begun_.let_wait(side_);
  try {
    const c10::OptionalStreamGuard guard(runtime_->torch_stream(side_.get()));
    result_ = work();
    runtime_->tensor_used(side_.get(), input_, /*written=*/false);
    runtime_->tensor_used(side_.get(), result_, /*written=*/true);
    return result_;
  } catch (...) {
    end();  // what it was given before that may still run
    throw;
  }
}

void SideStream::end() noexcept {
  try {
    done_.record(side_);
    done_.let_wait(main_);
    runtime_->tensor_used(main_.get(), input_, /*written=*/true);  // its memory may serve anything now
    if (result_.defined()) runtime_->tensor_used(main_.get(), result_, /*written=*/false);
  } catch (...) {
    // Only a device that failed for good refuses that, and then the predictor's next call meets the same.
  }
  input_.reset();
  result_.reset();
}

}  // namespace cornernet
