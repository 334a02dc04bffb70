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

constexpr const char* kGivenUp = "NCCL: the group was given up";
constexpr std::chrono::seconds kMeeting{120};  // of processes that have all met elsewhere
constexpr std::chrono::seconds kParting{5};    // to an end that may wait for others
constexpr milliseconds kGlance{20};            // between two looks whether all have come
constexpr microseconds kMoment{50};            // short beside a sum of a bucket

/// A communicator in the making, which ends at no time that can be waited for when another process is lost.
struct Making {
  std::atomic<bool> over{false};
  std::string failure;
  Nccl::Communicator made = nullptr;
};

/// Of `communicator`, null for one that could not be made.
std::string words(const Nccl& nccl, int error, Nccl::Communicator communicator) {
  const char* const more = nccl.get_last_error(communicator);
  return std::string("NCCL: ") + nccl.get_error_string(error) + (more && *more ? std::string(": ") + more : "");
}

}  // namespace

class CardGroup::Transfer final : public Pending {
 public:
  explicit Transfer(CardGroup& group) : group_(group), done_(group.runtime_) { done_.record(group.stream_); }
  ~Transfer() override {
    if (!over_) group_.abandon();
  }
  bool wait() override {
    if (over_) return true;
    if (group_.communicator_ == nullptr) {
      failure_ = kGivenUp;
      return over_ = true;
    }
    over_ = done_.is_past();
    if (over_) return true;
    int error = Nccl::kSuccess;
    const int asked = group_.nccl_.comm_get_async_error(group_.communicator_, &error);
    if (asked != Nccl::kSuccess) error = asked;
    if (error == Nccl::kSuccess || error == Nccl::kInProgress) {
      std::this_thread::sleep_for(kMoment);
    } else {
      failure_ = words(group_.nccl_, error, group_.communicator_);
      group_.abandon();
      over_ = true;
    }
    return over_;
  }
  std::string failure() const override { return failure_; }

 private:
  CardGroup& group_;
  DeviceEvent done_;
  bool over_ = false;
  std::string failure_;
};

CardGroup::CardGroup(const Nccl& nccl, std::shared_ptr<DeviceRuntime> runtime, const Nccl::Id& id, int rank, int processes,
                     const std::function<void()>& look)
    : nccl_(nccl), runtime_(std::move(runtime)), stream_(runtime_) {
  const auto making = std::make_shared<Making>();
  // Left to itself when the others don't come.
  std::thread([&nccl, making, id, rank, processes, device = runtime_->device()] {
    try {
      const c10::DeviceGuard there(device);
      const int error = nccl.comm_init_rank(&making->made, processes, id, rank);
      if (error != Nccl::kSuccess) making->failure = words(nccl, error, nullptr);
    } catch (const std::exception& error) {
      making->failure = error.what();
    }
    making->over = true;
  }).detach();
  for (const auto from = std::chrono::steady_clock::now(); !making->over; std::this_thread::sleep_for(kGlance)) {
    look();
    if (std::chrono::steady_clock::now() - from > kMeeting) throw std::runtime_error("NCCL: the GPUs have not all come within two minutes");
  }
  if (!making->failure.empty()) throw std::runtime_error(making->failure);
  communicator_ = making->made;
}

// Destroying a communicator may wait for the others; this doesn't.
CardGroup::~CardGroup() { abandon(); }

void CardGroup::abandon() noexcept {
  if (communicator_ == nullptr) return;
  try {
    const auto over = std::make_shared<std::atomic<bool>>(false);
    std::thread([&nccl = nccl_, over, communicator = std::exchange(communicator_, nullptr)] {
      (void)nccl.comm_abort(communicator);
      *over = true;
    }).detach();
    for (const auto from = std::chrono::steady_clock::now(); !*over; std::this_thread::sleep_for(kMoment)) {
      if (std::chrono::steady_clock::now() - from > kParting) return;
    }
    DeviceEvent last(runtime_);
    last.record(stream_);
    last.synchronize();
  } catch (const std::exception&) {
    // The device has failed, and writes nothing any more.
  }
}

std::unique_ptr<Pending> CardGroup::begin(const std::function<int(DeviceRuntime::Handle)>& operation) {
  if (communicator_ == nullptr) throw std::runtime_error(kGivenUp);
  const c10::DeviceGuard there(runtime_->device());
  DeviceEvent given(runtime_);
  given.record_current();
  given.let_wait(stream_);
  const int error = operation(stream_.get());
  if (error != Nccl::kSuccess) throw std::runtime_error(words(nccl_, error, communicator_));
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
