#include "train/card_group.h"

#include <c10/core/DeviceGuard.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <utility>

#include "runtime/error.h"

namespace cornernet::train {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr milliseconds kLook{20};   // between two looks whether all have come
constexpr microseconds kMoment{50};  // short beside a sum of a bucket

/// A communicator in the making, which ends at no time that can be waited for when another process is lost.
struct Making {
  std::atomic<bool> over{false};
  int error = Nccl::kSuccess;
  Nccl::Communicator made = nullptr;
};

}  // namespace

class CardGroup::Transfer final : public Pending {
 public:
  explicit Transfer(CardGroup& group) : group_(group), done_(group.runtime_) { done_.record(group.stream_); }
  bool wait() override {
    if (done_.is_past()) return true;
    int error = Nccl::kSuccess;
    const int asked = group_.nccl_.comm_get_async_error(group_.communicator_, &error);
    if (asked != Nccl::kSuccess) error = asked;
    if (error != Nccl::kSuccess && error != Nccl::kInProgress) {
      failure_ = group_.words(error);
      return true;
    }
    std::this_thread::sleep_for(kMoment);
    return false;
  }
  std::string failure() const override { return failure_; }

 private:
  CardGroup& group_;
  DeviceEvent done_;
  std::string failure_;
};

CardGroup::CardGroup(const Nccl& nccl, std::shared_ptr<DeviceRuntime> runtime, const Nccl::Id& id, int rank, int processes,
                     const std::function<void()>& look)
    : nccl_(nccl), runtime_(std::move(runtime)), stream_(runtime_) {
  const auto making = std::make_shared<Making>();
  // Left to itself when `look` throws.
  std::thread([&nccl, making, id, rank, processes, device = runtime_->device()] {
    const c10::DeviceGuard there(device);
    making->error = nccl.comm_init_rank(&making->made, processes, id, rank);
    making->over = true;
  }).detach();
  for (; !making->over; std::this_thread::sleep_for(kLook)) look();
  if (making->error != Nccl::kSuccess) throw std::runtime_error(words(making->error));
  communicator_ = making->made;
}

CardGroup::~CardGroup() {
  if (communicator_ != nullptr) (void)nccl_.comm_destroy(communicator_);
}

void CardGroup::abandon() noexcept {
  if (communicator_ != nullptr) (void)nccl_.comm_abort(communicator_);
  communicator_ = nullptr;
}

std::string CardGroup::words(int error) const { return std::string("NCCL: ") + nccl_.get_error_string(error); }

std::unique_ptr<Pending> CardGroup::begin(const std::function<int(DeviceRuntime::Handle)>& operation) {
  if (communicator_ == nullptr) throw std::runtime_error("NCCL: the group was given up");
  const c10::DeviceGuard there(runtime_->device());
  DeviceEvent given(runtime_);
  given.record_current();
  given.let_wait(stream_);
  const int error = operation(stream_.get());
  if (error != Nccl::kSuccess) throw std::runtime_error(words(error));
  return std::make_unique<Transfer>(*this);
}

std::unique_ptr<Pending> CardGroup::begin_sum(const at::Tensor& values) {
  require(values.scalar_type() == at::kFloat, ErrorCode::Internal, "cards sum fp32 alone");
  void* const data = values.mutable_data_ptr();
  const auto count = static_cast<size_t>(values.numel());
  return begin([&](auto stream) { return nccl_.all_reduce(data, data, count, Nccl::kFloat32, Nccl::kSum, communicator_, stream); });
}

std::unique_ptr<Pending> CardGroup::begin_broadcast(const at::Tensor& values) {
  void* const data = values.mutable_data_ptr();
  const size_t bytes = values.nbytes();
  return begin([&](auto stream) { return nccl_.broadcast(data, data, bytes, Nccl::kBytes, 0, communicator_, stream); });
}

}  // namespace cornernet::train
