// Sums between GPUs: NCCL's functions between threads, each with the stand-in of a GPU; and NCCL itself where there is a GPU.
#include "train/card_group.h"

#include <ATen/ops/from_blob.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>

#include <condition_variable>
#include <future>

#include "op_cases.h"
#include "stand_in.h"
#include "test.h"

using namespace cornernet;
using namespace cornernet::testing;
using namespace cornernet::train;

namespace {

/// Where those meet who have the same id. What one does is over when all have done the same.
struct Meeting {
  struct Member {
    Meeting* meeting;
    int rank;
    StandIn* runtime;
    size_t given = 0;
  };
  struct Part {
    float* values;
    size_t count;
  };
  std::mutex mutex;
  std::condition_variable change;
  std::vector<Member> members;
  size_t arrived = 0, made = 0;
  std::atomic<size_t> aborted{0};
  bool is_over = false;
  std::atomic<bool> stopped{false};  // who aborts waits for ever
  int error = Nccl::kSuccess;        // that every member is told of
  std::vector<std::vector<Part>> sums;

  static Meeting& of(const Nccl::Id& id) { return **reinterpret_cast<Meeting* const*>(id.bytes); }
  Nccl::Id id() {
    Nccl::Id id{};
    *reinterpret_cast<Meeting**>(id.bytes) = this;
    return id;
  }
  explicit Meeting(const std::vector<StandIn*>& runtimes) {
    for (StandIn* const runtime : runtimes) {
      Member& member = members.emplace_back(Member{this, static_cast<int>(members.size()), runtime});
      runtime->is_busy = [this, rank = member.rank] { return has_unfinished(rank); };
    }
  }
  bool has_unfinished(int rank) {
    const std::lock_guard lock(mutex);
    for (size_t i = 0; i < members[static_cast<size_t>(rank)].given; ++i) {
      if (sums[i].size() < members.size()) return true;
    }
    return false;
  }
};

Meeting::Member& member_of(Nccl::Communicator communicator) { return *static_cast<Meeting::Member*>(communicator); }

int init(Nccl::Communicator* made, int processes, Nccl::Id id, int rank) {
  Meeting& meeting = Meeting::of(id);
  std::unique_lock lock(meeting.mutex);
  ++meeting.arrived;
  meeting.change.notify_all();
  while (meeting.arrived < static_cast<size_t>(processes) && !meeting.is_over) meeting.change.wait(lock);
  ++meeting.made;
  meeting.change.notify_all();
  *made = &meeting.members[static_cast<size_t>(rank)];
  return meeting.error;
}

int all_reduce(const void*, void* to, size_t count, int, int, Nccl::Communicator communicator, void* stream) {
  Meeting::Member& member = member_of(communicator);
  member.runtime->tensor_used(stream, at::from_blob(to, {static_cast<int64_t>(count)}, at::kFloat), true);
  Meeting& meeting = *member.meeting;
  const std::lock_guard lock(meeting.mutex);
  meeting.sums.resize(std::max(meeting.sums.size(), member.given + 1));
  auto& parts = meeting.sums[member.given++];
  parts.push_back({static_cast<float*>(to), count});
  if (parts.size() < meeting.members.size()) return Nccl::kSuccess;
  for (size_t i = 0; i < count; ++i) {
    float sum = 0;
    for (const auto& part : parts) sum += part.values[i];
    for (const auto& part : parts) part.values[i] = sum;
  }
  return Nccl::kSuccess;
}

const Nccl between_threads{
    [](Nccl::Id*) { return Nccl::kSuccess; },
    init,
    [](const void*, void*, size_t, int, int, Nccl::Communicator, void*) { return Nccl::kSuccess; },
    all_reduce,
    [](Nccl::Communicator communicator, int* error) {
      *error = member_of(communicator).meeting->error;
      return Nccl::kSuccess;
    },
    [](Nccl::Communicator communicator) {
      Meeting& meeting = *member_of(communicator).meeting;
      while (meeting.stopped) std::this_thread::yield();
      ++meeting.aborted;
      return Nccl::kSuccess;
    },
    [](int) { return "remote process exited"; },
    [](Nccl::Communicator) { return ""; },
};

void finish(Pending& pending) {
  while (!pending.wait()) {
  }
}

/// What two GPUs report that sum up three times.
std::vector<std::string> sum_up(Mutation mutation) {
  const auto runtimes = {std::make_shared<StandIn>(mutation), std::make_shared<StandIn>(mutation)};
  std::vector<StandIn*> plain;
  for (const auto& runtime : runtimes) plain.push_back(runtime.get());
  Meeting meeting(plain);
  std::vector<std::future<void>> threads;
  for (const auto& runtime : runtimes) {
    threads.push_back(std::async(std::launch::async, [&meeting, runtime, rank = static_cast<int>(threads.size())] {
      CardGroup group(between_threads, runtime, meeting.id(), rank, 2, [] {});
      const at::Tensor values = at::full({1000}, 1 + rank, at::kFloat);
      float wanted = 3;
      for (int i = 0; i < 3; ++i, wanted *= 2) {
        runtime->tensor_used(runtime->current_stream(), values, true);
        const auto pending = group.begin_sum(values);
        finish(*pending);
        check(pending->failure().empty(), pending->failure());
        runtime->tensor_used(runtime->current_stream(), values, false);
        check(values.eq(wanted).all().item<bool>(), "not the sum");
      }
    }));
  }
  for (auto& thread : threads) thread.get();
  check(meeting.aborted == 2, "a communicator was not let go");
  std::vector<std::string> faults;
  for (const auto& runtime : runtimes) {
    runtime->check_that_all_is_freed();
    for (const auto& fault : runtime->faults()) faults.push_back(fault);
  }
  return faults;
}

const Registration sums("cards: sums follow what the network has written, and are there when they are over", [] {
  const auto faults = sum_up({});
  check(faults.empty(), faults.empty() ? "" : faults.front());
  for (int wait = 0; wait < 2; ++wait) check(!sum_up({.ignored_wait = wait}).empty(), "nobody misses wait ", wait);
});

const Registration failures("cards: who is lost shows in a sum's failure, and in no hang of the meeting", [] {
  const auto runtime = std::make_shared<StandIn>(), other = std::make_shared<StandIn>();
  Meeting meeting({runtime.get(), other.get()});
  check(refused(ErrorCode::Peer,
                [&] {
                  CardGroup(between_threads, runtime, meeting.id(), 0, 2, [&] {
                    const std::lock_guard lock(meeting.mutex);
                    if (meeting.arrived > 0) throw Error(ErrorCode::Peer, "rank 1 has ended");
                  });
                }) == "rank 1 has ended",
        "another sentence");
  std::unique_lock lock(meeting.mutex);
  meeting.is_over = true;  // for the thread that still waits there
  meeting.change.notify_all();
  while (meeting.made == 0) meeting.change.wait(lock);
  lock.unlock();

  CardGroup group(between_threads, runtime, meeting.id(), 0, 2, [] {});
  const auto pending = group.begin_sum(at::ones({8}));
  check(!pending->wait(), "a sum without the other is over");
  meeting.error = 6;
  check(pending->wait() && pending->failure() == "NCCL: remote process exited", "got: ", pending->failure());
  check(meeting.aborted == 1, "it was not aborted");
  bool begun = true;
  try {
    (void)group.begin_sum(at::ones({8}));
  } catch (const std::exception&) {
    begun = false;
  }
  check(!begun, "a group that was given up goes on");

  meeting.error = Nccl::kSuccess;
  CardGroup dropping(between_threads, runtime, meeting.id(), 0, 2, [] {});
  (void)dropping.begin_sum(at::ones({8}));
  check(meeting.aborted == 2, "a sum that nobody waits for goes on in memory that is freed");

  CardGroup leaving(between_threads, runtime, meeting.id(), 0, 2, [] {});
  meeting.stopped = true;
  leaving.abandon();
  check(meeting.aborted == 2, "nobody was waited for");
  meeting.stopped = false;
  while (meeting.aborted == 2) std::this_thread::yield();
});

const Registration real("cards: NCCL itself, of one GPU alone", [] {
  skip_without_gpu();
  const Nccl* const nccl = find_nccl();
  check(nccl != nullptr, "LibTorch's CUDA side brings no NCCL");
  Nccl::Id id{};
  check(nccl->get_unique_id(&id) == Nccl::kSuccess, "no id");
  const auto runtime = runtime_of(at::Device(at::kCUDA, 0));
  CardGroup group(*nccl, runtime, id, 0, 1, [] {});
  const at::Tensor values = at::full({1 << 20}, 3.f, at::TensorOptions().device(at::kCUDA).dtype(at::kFloat));
  const auto pending = group.begin_sum(values);
  finish(*pending);
  check(pending->failure().empty() && values.eq(3).all().item<bool>(), "a sum of one: ", pending->failure());
  const at::Tensor counts = at::full({7}, 5, at::TensorOptions().device(at::kCUDA).dtype(at::kLong));
  const auto told = group.begin_broadcast(counts);
  finish(*told);
  check(told->failure().empty() && counts.eq(5).all().item<bool>(), "a broadcast of one: ", told->failure());
});

}  // namespace
