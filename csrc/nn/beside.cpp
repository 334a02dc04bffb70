#include "nn/beside.h"

#include <utility>

namespace cornernet {
namespace {

thread_local Beside* offered = nullptr;

}  // namespace

Beside::Offer::Offer(Beside& beside) { offered = &beside; }
Beside::Offer::~Offer() { offered = nullptr; }

Fork::Fork(const at::Tensor& input, std::function<at::Tensor()> work) : work_(std::move(work)), beside_(std::exchange(offered, nullptr)) {
  if (beside_ == nullptr) return;
  try {
    result_ = beside_->begin(input, work_);
  } catch (...) {
    offered = beside_;
    throw;
  }
}

Fork::~Fork() {
  if (beside_ == nullptr) return;
  beside_->end();  // also when what ran meanwhile threw: its memory must not be used again under this work
  offered = beside_;
}

at::Tensor Fork::join() {
  if (beside_ == nullptr) return work_();
  beside_->end();
  offered = std::exchange(beside_, nullptr);
  return std::move(result_);
}

}  // namespace cornernet
