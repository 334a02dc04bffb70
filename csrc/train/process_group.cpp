#include "train/process_group.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <optional>
#include <random>
#include <stdexcept>
#include <thread>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <utility>

#include "runtime/error.h"
#include "runtime/interrupt.h"
#include "train/card_group.h"
#include "train/rendezvous.h"
#include "train/signs_of_life.h"

namespace cornernet::train {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::chrono::hours kPatience{24 * 30};  // of a sum: who lives may take its time, and signs of life tell who doesn't

/// What gloo says, without where in its sources and without its advice.
std::string plain(std::string what) {
  if (const size_t place = what.find("] "); what.starts_with('[') && place != std::string::npos) what.erase(0, place + 2);
  return what.substr(0, what.find(". This is typically"));
}

bool has_equal(std::vector<std::string> words) {
  std::sort(words.begin(), words.end());
  return std::adjacent_find(words.begin(), words.end()) != words.end();
}

/// That no other process has.
const std::string& name_of_process() {
  static const std::string name = std::to_string(std::random_device{}()) + "/" + std::to_string(std::random_device{}());
  return name;
}

/// Over gloo.
class GlooPending final : public Pending {
 public:
  GlooPending(c10::intrusive_ptr<c10d::Work> work, const std::shared_ptr<Bell>& bell) : bell_(bell), work_(std::move(work)) {
    future_ = work_->getFuture();
    future_->addCallback([bell, state = state_](c10::ivalue::Future& future) {
      const std::lock_guard lock(bell->mutex);
      if (future.hasError()) state->failure = future.tryRetrieveErrorMessage();
      state->done = true;
      bell->wake.notify_all();
    });
  }
  /// Until the bell rings.
  bool wait() override {
    std::unique_lock lock(bell_->mutex);
    if (!state_->done) bell_->wake.wait(lock);
    return state_->done;
  }
  std::string failure() const override { return first_line(state_->failure.c_str()); }

 private:
  struct State {
    bool done = false;
    std::string failure;
  };
  std::shared_ptr<Bell> bell_;
  std::shared_ptr<State> state_ = std::make_shared<State>();
  c10::intrusive_ptr<c10d::Work> work_;
  c10::intrusive_ptr<c10::ivalue::Future> future_;
};

/// Of a GPU's tensor, whose copy on the host is on its way.
class ThroughHost final : public Pending {
 public:
  ThroughHost(std::shared_ptr<Pending> pending, at::Tensor host, at::Tensor values)
      : pending_(std::move(pending)), host_(std::move(host)), values_(std::move(values)) {}
  bool wait() override {
    if (!pending_->wait()) return false;
    if (pending_->failure().empty()) values_.copy_(host_);
    return true;
  }
  std::string failure() const override { return pending_->failure(); }

 private:
  std::shared_ptr<Pending> pending_;
  at::Tensor host_, values_;
};

}  // namespace

struct ProcessGroup::Impl {
  Membership self;
  c10::intrusive_ptr<c10d::Store> store;
  c10::intrusive_ptr<c10d::Backend> backend;
  std::optional<CardGroup> cards;
  std::shared_ptr<Bell> bell = std::make_shared<Bell>();
  int exchanges = 0, under_way = 0;  // the latter: begun and not finished
  bool left = false, shares_process = false;
  std::optional<SignsOfLife> life;

  void meet();
  void check() const;
  void look() const;
  [[noreturn]] void lose(const std::exception& failure) { lose(first_line(failure.what())); }
  [[noreturn]] void lose(const std::string& what);
  void leave(const std::string& why) noexcept;
  ~Impl();

  enum class Kind { Sum, Broadcast };
  std::shared_ptr<Pending> begin(Kind kind, const at::Tensor& values);
  std::shared_ptr<Pending> transfer(Kind kind, const at::Tensor& values);
};

std::shared_ptr<Pending> ProcessGroup::Impl::transfer(Kind kind, const at::Tensor& values) {
  if (!values.is_cpu() && !cards) {
    const at::Tensor host = values.cpu();
    return std::make_shared<ThroughHost>(transfer(kind, host), host, values);
  }
  try {
    if (!values.is_cpu()) return kind == Kind::Sum ? cards->begin_sum(values) : cards->begin_broadcast(values);
    std::vector<at::Tensor> list{values};
    return std::make_shared<GlooPending>(kind == Kind::Sum ? backend->allreduce(list) : backend->broadcast(list), bell);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    lose(error);
  }
}

std::shared_ptr<Pending> ProcessGroup::Impl::begin(Kind kind, const at::Tensor& values) {
  check();
  auto pending = transfer(kind, values);
  ++under_way;
  return pending;
}

void ProcessGroup::Impl::meet() {
  const auto deadline = Clock::now() + std::chrono::duration_cast<milliseconds>(std::chrono::duration<double>(self.seconds));
  const bool keeps = self.rank == 0 && !self.hosted;
  std::string own_address;
  if (!keeps) own_address = reach(self, deadline);
  store = open_store(self, keeps);
  if (keeps) own_address = reach(self, deadline);
  const std::vector<uint8_t> number = bytes_of(std::to_string(self.processes));
  const std::string said = text_of(store->compareSet("processes", {}, number));
  if (said != text_of(number)) fail("this process counts " + text_of(number) + " that train together (WORLD_SIZE, times its GPUs), another " + said);
  if (store->add("taken/" + std::to_string(self.rank), 1) > 1)
    fail("two of those that train together have rank " + std::to_string(self.rank) + " (RANK, times a process's GPUs)");
  store->set("beat/" + std::to_string(self.rank), bytes_of("0"));
  for (const std::vector<std::string> beats = key_of_each("beat", self.processes); !store->check(beats); nap()) {
    if (Clock::now() < deadline) continue;
    std::string missing;
    for (int rank = 0; rank < self.processes; ++rank) {
      if (!store->check({beats[static_cast<size_t>(rank)]})) missing += (missing.empty() ? "rank " : ", ") + std::to_string(rank);
    }
    fail("not all of the " + std::to_string(self.processes) + " processes came within " + std::to_string(static_cast<int>(self.seconds)) +
         " s; still missing: " + missing);
  }
  auto options = c10d::ProcessGroupGloo::Options::create(kConnecting);
  options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname(own_address));
  backend = c10::make_intrusive<c10d::ProcessGroupGloo>(store, self.rank, self.processes, options);
  backend->setTimeout(kPatience);
}

void ProcessGroup::Impl::check() const {
  const std::string sentence = bell->sentence();
  if (!sentence.empty()) fail(sentence);
}

/// For who waits on the group's own thread.
void ProcessGroup::Impl::look() const {
  check();
  check_interrupted();
}

/// The reason, if it is still to be heard.
void ProcessGroup::Impl::lose(const std::string& what) {
  for (const auto from = Clock::now(); Clock::now() - from < 2 * kBeat; std::this_thread::sleep_for(kLook)) check();
  bell->say("another process of this training has ended (" + plain(what) + ")");
  fail(bell->sentence());
}

void ProcessGroup::Impl::leave(const std::string& why) noexcept {
  if (left || !store) return;
  left = true;
  try {
    if (!why.empty()) bell->say(why);
    if (bell->unanswered) return;
    // With this process the store ends, where the others look for the reason.
    const bool waits = !why.empty() && self.rank == 0 && !self.hosted && backend;
    const auto from = Clock::now();
    ask(
        [why, waits, from, self = self, store = store] {
          if (!why.empty()) store->compareSet("ended", {}, bytes_of(rank_of(self.rank, self.processes) + " ended: " + why));
          store->set("gone/" + std::to_string(self.rank), bytes_of("1"));
          const std::vector<std::string> gone = key_of_each("gone", self.processes);
          while (waits && Clock::now() - from < kFarewell && !store->check(gone)) std::this_thread::sleep_for(kLook);
          return true;
        },
        [&] {
          if (Clock::now() - from < 2 * kFarewell) return;
          bell->unanswered = true;
          throw std::runtime_error(kNoLife);
        });
  } catch (const std::exception&) {
    // Nobody is there to hear it.
  }
}

ProcessGroup::Impl::~Impl() {
  leave(under_way > 0 ? "it was given up" : "");
  life.reset();
  // Sums that wait for who is lost end at no time that can be waited for: their threads are left to the process's end.
  if (!bell->sentence().empty()) (void)backend.release();
}

ProcessGroup::ProcessGroup(const Membership& membership) : impl_(std::make_unique<Impl>()) {
  impl_->self = membership;
  try {
    impl_->meet();
    impl_->life.emplace(impl_->bell).begin(membership);
    impl_->shares_process = has_equal(exchange(name_of_process()));
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    fail("the processes could not be connected: " + first_line(error.what()));
  }
}

ProcessGroup::~ProcessGroup() = default;

int ProcessGroup::rank() const { return impl_->self.rank; }
int ProcessGroup::processes() const { return impl_->self.processes; }
bool ProcessGroup::shares_process() const { return impl_->shares_process; }

std::vector<std::string> ProcessGroup::exchange(const std::string& words) {
  const auto look = [this] { impl_->look(); };
  const std::vector<std::string> all = key_of_each("words/" + std::to_string(impl_->exchanges++), processes());
  try {
    ask([store = impl_->store, own = all[static_cast<size_t>(rank())], words] { return store->set(own, bytes_of(words)), true; }, look);
    while (!ask([store = impl_->store, all] { return store->check(all); }, look)) nap();
    std::vector<std::string> said;
    for (const auto& one : ask([store = impl_->store, all] { return store->multiGet(all); }, look)) said.push_back(text_of(one));
    return said;
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    impl_->lose(error);
  }
}

std::string ProcessGroup::use_card(const std::shared_ptr<DeviceRuntime>& runtime, const std::string& card) {
  const Nccl* const nccl = find_nccl();
  const std::vector<std::string> cards = exchange(nccl ? card : "");
  if (std::find(cards.begin(), cards.end(), "") != cards.end()) return "there is no NCCL everywhere";
  if (has_equal(cards)) return "several have the same GPU";
  Nccl::Id id{};
  std::string failure;
  const bool made = rank() != 0 || nccl->get_unique_id(&id) == Nccl::kSuccess;
  const std::string told = exchange(rank() == 0 && made ? std::string(std::begin(id.bytes), std::end(id.bytes)) : "").front();
  if (told.size() != sizeof id.bytes) return "NCCL can't be begun";
  std::copy(told.begin(), told.end(), std::begin(id.bytes));
  try {
    impl_->cards.emplace(*nccl, runtime, id, rank(), processes(), [this] { impl_->look(); });
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    failure = first_line(error.what());
  }
  for (const std::string& other : exchange(failure)) {
    if (other.empty()) continue;
    impl_->cards.reset();
    return other;
  }
  return "";
}

void ProcessGroup::broadcast(const at::Tensor& values) { finish(*impl_->begin(Impl::Kind::Broadcast, values)); }

std::shared_ptr<Pending> ProcessGroup::begin_sum(const at::Tensor& values) { return impl_->begin(Impl::Kind::Sum, values); }

void ProcessGroup::finish(Pending& pending) {
  while (!pending.wait()) impl_->look();
  --impl_->under_way;
  if (const std::string failure = pending.failure(); !failure.empty()) impl_->lose(failure);
}

void ProcessGroup::sum(const at::Tensor& values) { finish(*begin_sum(values)); }

void ProcessGroup::check() const { impl_->check(); }
bool ProcessGroup::has_ended() const { return !impl_->bell->sentence().empty(); }

void ProcessGroup::leave(const std::string& why) noexcept { impl_->leave(why); }

}  // namespace cornernet::train
