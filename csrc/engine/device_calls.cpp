#include "engine/device_calls.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <utility>

#include "ops/cuda/corner_decode.h"
#include "ops/dispatch.h"
#include "runtime/error.h"

namespace cornernet {
namespace {

constexpr size_t aligned(size_t bytes) { return (bytes + 15) / 16 * 16; }

size_t bytes_of(const PictureJob& picture) { return size_t{3} * picture.source_width_px * picture.source_height_px; }

size_t scratch_bytes(const cuda::DecodeJob& job) { return static_cast<size_t>(cuda::scratch_keys(job)) * sizeof(uint64_t); }

}  // namespace

DeviceRuntime::Tensors tensors_of(const HeadMaps& maps) { return {maps.tl.heat, maps.tl.emb, maps.tl.off, maps.br.heat, maps.br.emb, maps.br.off}; }

HeadMaps maps_of(const DeviceRuntime::Tensors& t) { return {{t.at(0), t.at(1), t.at(2)}, {t.at(3), t.at(4), t.at(5)}}; }

struct DeviceCalls::Slot {
  explicit Slot(const std::shared_ptr<DeviceRuntime>& runtime)
      : sent(runtime, GrowingMemory::Kind::Pinned),
        received(runtime, GrowingMemory::Kind::Pinned),
        pictures(runtime, GrowingMemory::Kind::Device),
        candidates(runtime, GrowingMemory::Kind::Device),
        scratch(runtime, GrowingMemory::Kind::Device),
        uploaded(runtime),
        done(runtime) {}

  /// For what may still be in use; a device that fails uses nothing any more.
  void wait_at_best() {
    try {
      if (unread) done.synchronize();
    } catch (const std::exception&) {  // LibTorch's own too
    }
  }

  GrowingMemory sent, received;                 // on the host
  GrowingMemory pictures, candidates, scratch;  // on the device
  DeviceEvent uploaded, done;
  bool idle = true;
  bool unread = false;  // it may still be in use on the device
};

struct DeviceCalls::Slots {
  explicit Slots(std::shared_ptr<DeviceRuntime> of) : runtime(std::move(of)) {}
  ~Slots() {
    const DeviceLock::Use use(runtime->shared().lock, DeviceLock::kShared);  // pinned memory is freed
    for (const auto& slot : all) {
      runtime->host_takes_over(slot.get());
      slot->wait_at_best();
    }
    all.clear();
  }

  std::shared_ptr<DeviceRuntime> runtime;
  std::mutex mutex;
  std::vector<std::unique_ptr<Slot>> all;  // as many as there were calls at a time whose results nobody had read
};

class DeviceCalls::Lease {
 public:
  Lease(std::shared_ptr<Slots> slots) : slots_(std::move(slots)) {
    const std::lock_guard lock(slots_->mutex);
    const auto found = std::ranges::find_if(slots_->all, [](const auto& slot) { return slot->idle; });
    slot_ = found != slots_->all.end() ? found->get() : slots_->all.emplace_back(std::make_unique<Slot>(slots_->runtime)).get();
    slots_->runtime->host_takes_over(slot_);
    slot_->idle = false;
  }
  ~Lease() {
    const std::lock_guard lock(slots_->mutex);
    slots_->runtime->host_hands_over(slot_);
    slot_->idle = true;
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  Slot* operator->() const { return slot_; }
  DeviceRuntime& runtime() const { return *slots_->runtime; }

 private:
  std::shared_ptr<Slots> slots_;
  Slot* slot_;
};

DeviceCalls::DeviceCalls(std::shared_ptr<DeviceRuntime> runtime)
    : runtime_(std::move(runtime)), compute_(runtime_), copies_(runtime_), slots_(std::make_shared<Slots>(runtime_)) {}

DeviceCalls::~DeviceCalls() {
  slots_.reset();
  try {
    const DeviceLock::Use use(runtime_->shared().lock, DeviceLock::kShared);
    runtime_->release_idle();
  } catch (...) {  // of a device that fails there is nothing to be had back
  }
}

DeviceCalls::Call::Call(DeviceCalls& calls, std::shared_ptr<Lease> lease, const InputPlan& plan, std::vector<ViewGeometry> views,
                        const DecodeOptions& options)
    : calls_(calls), lease_(std::move(lease)), view_(plan.view), views_(std::move(views)), options_(options) {
  Lease& slot = *lease_;
  DeviceRuntime& runtime = slot.runtime();
  if (std::exchange(slot->unread, true)) slot->done.synchronize();  // of a call whose results nobody waited for
  // One buffer: the table, the jobs, the views' geometry, then the pictures' bytes.
  jobs_at_ = aligned(sizeof(LevelTable));
  geometry_at_ = jobs_at_ + aligned(plan.pictures.size() * sizeof(PictureJob));
  size_t at = geometry_at_ + aligned(views_.size() * sizeof(ViewGeometry));
  size_t bytes = at;
  for (const PictureJob& picture : plan.pictures) bytes += bytes_of(picture);
  std::byte* const host = slot->sent.at_least(bytes, calls_.copies_);
  std::byte* const device = slot->pictures.at_least(bytes, calls_.copies_);
  runtime.host_touches(host, bytes, /*writes=*/true);
  std::vector<PictureJob> jobs = plan.pictures;
  for (PictureJob& job : jobs) {
    std::memcpy(host + at, job.rgb, bytes_of(job));
    job.rgb = reinterpret_cast<const uint8_t*>(device + at);
    at += bytes_of(job);
  }
  std::memcpy(host, &plan.table, sizeof(LevelTable));
  std::memcpy(host + jobs_at_, jobs.data(), jobs.size() * sizeof(PictureJob));
  std::memcpy(host + geometry_at_, views_.data(), views_.size() * sizeof(ViewGeometry));
  runtime.upload(device, host, bytes, calls_.copies_.get());
  slot->uploaded.record(calls_.copies_);
  slot->uploaded.let_wait(calls_.compute_);
  slot->done.record(calls_.compute_);  // should the call end before its results are sent, this is what the slot's next one waits for
}

DeviceCalls::Call DeviceCalls::begin(const InputPlan& plan, const std::vector<ViewGeometry>& views, const DecodeOptions& options) {
  return {*this, std::make_shared<Lease>(slots_), plan, views, options};
}

void DeviceCalls::Call::make_input(const at::Tensor& input) {
  const Lease& slot = *lease_;
  const std::byte* const device = slot->pictures.get();
  slot.runtime().make_input(calls_.compute_.get(), reinterpret_cast<const PictureJob*>(device + jobs_at_),
                            reinterpret_cast<const LevelTable*>(device), view_, input);
  slot->done.record(calls_.compute_);
}

void DeviceCalls::Call::decode(const HeadMaps& maps) {
  Lease& slot = *lease_;
  const auto count = static_cast<size_t>(maps.tl.heat.size(0));
  const size_t first = std::exchange(decoded_, decoded_ + count);
  check_decoding(maps, count, options_);
  if (!cuda::can_decode(maps, options_)) {
    const std::vector<ViewGeometry> views(views_.begin() + static_cast<ptrdiff_t>(first), views_.begin() + static_cast<ptrdiff_t>(first + count));
    std::ranges::move(decode_corners(calls_.to_host(maps), views, options_), std::back_inserter(by_host_));
    return;
  }
  cuda::DecodeJob job = cuda::decode_job(maps, options_);
  job.blocks = slot.runtime().collecting_blocks(job);
  job.geometry = reinterpret_cast<const ViewGeometry*>(slot->pictures.get() + geometry_at_) + first;
  const size_t each = static_cast<size_t>(options_.max_candidates);
  const size_t candidates_bytes = views_.size() * each * sizeof(Candidate);
  std::byte* const found = slot->candidates.at_least(candidates_bytes + views_.size() * sizeof(int), calls_.compute_);
  std::byte* const scratch = slot->scratch.at_least(scratch_bytes(job), calls_.compute_);
  slot.runtime().decode(calls_.compute_.get(), job, cuda::scalar_of(maps.tl.heat), tensors_of(maps), reinterpret_cast<uint64_t*>(scratch),
                        reinterpret_cast<Candidate*>(found) + first * each, reinterpret_cast<int*>(found + candidates_bytes) + first);
  slot->done.record(calls_.compute_);
}

std::function<DecodedViews()> DeviceCalls::Call::finish() {
  Lease& slot = *lease_;
  const size_t views = views_.size(), each = static_cast<size_t>(options_.max_candidates);
  const size_t candidates_bytes = views * each * sizeof(Candidate), bytes = candidates_bytes + views * sizeof(int);
  if (by_host_.empty()) {
    slot.runtime().download(slot->received.at_least(bytes, calls_.compute_), slot->candidates.get(), bytes, calls_.compute_.get());
    slot->done.record(calls_.compute_);
  }
  return [lease = std::exchange(lease_, nullptr), by_host = std::move(by_host_), views, each, candidates_bytes, bytes]() mutable {
    DecodedViews decoded = std::move(by_host);
    if (decoded.empty()) {
      Lease& slot = *lease;
      slot->done.synchronize();
      slot->unread = false;
      slot.runtime().host_touches(slot->received.get(), bytes, /*writes=*/false);
      const auto* const candidates = reinterpret_cast<const Candidate*>(slot->received.get());
      const auto* const counts = reinterpret_cast<const int*>(slot->received.get() + candidates_bytes);
      for (size_t view = 0; view < views; ++view) {
        const Candidate* const first = candidates + view * each;
        decoded.push_back({{first, first + std::max(counts[view], 0)}, counts[view] >= 0});  // -1: not finite
      }
    }
    lease.reset();  // for the next call
    return decoded;
  };
}

HeadMaps DeviceCalls::Call::finish_with(const HeadMaps& maps) {
  HeadMaps host = calls_.to_host(maps);
  (*lease_)->unread = false;  // all that the stream was given is done
  return host;
}

HeadMaps DeviceCalls::to_host(const HeadMaps& maps) {
  HeadMaps host;
  DeviceRuntime::Tensors kept;  // until they are copied
  const auto copy = [&](const at::Tensor& map) {
    const at::Tensor values = runtime_->run(compute_.get(), {map}, [&] { return DeviceRuntime::Tensors{map.to(at::kFloat).contiguous()}; })[0];
    kept.push_back(values);
    at::Tensor to = at::empty(values.sizes(), at::TensorOptions(at::kFloat));
    runtime_->download(to.mutable_data_ptr(), values.const_data_ptr(), values.nbytes(), compute_.get());
    return to;
  };
  const auto copy_corner = [&](const CornerMaps& corner) { return CornerMaps{copy(corner.heat), copy(corner.emb), copy(corner.off)}; };
  host.tl = copy_corner(maps.tl);
  host.br = copy_corner(maps.br);
  DeviceEvent arrived(runtime_);
  arrived.record(compute_);
  arrived.synchronize();
  for (const at::Tensor& map : tensors_of(host)) runtime_->host_touches(map.const_data_ptr(), map.nbytes(), /*writes=*/false);
  return host;
}

}  // namespace cornernet
