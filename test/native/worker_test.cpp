// The thread that runs tasks: order, cancelling, stopping, and many callers at once (what ThreadSanitizer watches).
#include "runtime/worker.h"

#include <algorithm>
#include <atomic>
#include <future>
#include <memory>
#include <thread>
#include <vector>

#include "runtime/interrupt.h"
#include "test.h"

namespace cornernet::testing {
namespace {

/// What became of a task, and the promise that is kept when it begins.
struct Fate {
  std::atomic<int> ran{0}, dropped{0};
  std::promise<void> begun;
};

/// A task that ends when it is interrupted.
Worker::Task until_interrupted(int64_t id, Fate& fate) {
  const auto run = [&fate] {
    fate.begun.set_value();
    try {
      for (;;) {
        check_interrupted();
        std::this_thread::yield();
      }
    } catch (const Error&) {
      ++fate.ran;
    }
  };
  return {id, run, [&fate] { ++fate.dropped; }};
}

Worker::Task counting(int64_t id, Fate& fate) {
  return {id, [&fate] { ++fate.ran; }, [&fate] { ++fate.dropped; }};
}

const Registration order("worker: tasks run in their order, on one thread that is not the caller's", [] {
  Worker worker;
  std::vector<int> order;
  std::vector<std::thread::id> threads;
  for (int i = 0; i < 100; ++i) {
    const auto run = [&, i] {
      order.push_back(i);
      threads.push_back(std::this_thread::get_id());
    };
    check(worker.post({i, run, [] {}}), "a task was refused");
  }
  std::promise<void> done;
  worker.post({100, [&] { done.set_value(); }, [] {}});
  done.get_future().wait();
  check(order.size() == 100 && std::ranges::is_sorted(order), "the order is another");
  check(threads.front() != std::this_thread::get_id() && std::ranges::count(threads, threads.front()) == 100, "the tasks ran on several threads");
});

const Registration cancelling("worker: cancelling drops the task if it waits, interrupts it if it runs, and spares the others", [] {
  Fate running, waiting, other;
  {
    Worker worker;
    worker.post(until_interrupted(1, running));
    worker.post(counting(2, waiting));
    worker.post(counting(3, other));
    running.begun.get_future().wait();
    worker.cancel(2);
    check(waiting.dropped == 1, "what waits is not dropped at once");
    worker.cancel(7);  // there is none
    std::promise<void> done;
    worker.post({4, [&] { done.set_value(); }, [] {}});
    worker.cancel(1);
    done.get_future().wait();
  }
  check(running.ran == 1 && running.dropped == 0, "the running task was not interrupted");
  check(waiting.ran == 0 && waiting.dropped == 1, "the waiting task ran");
  check(other.ran == 1 && other.dropped == 0, "the other task did not run");
});

const Registration stopping("worker: stopping drops what waits, lets what runs end, then runs the last work, and takes no more", [] {
  Fate running, waiting, late;
  bool last = false;
  Worker worker;
  worker.post(until_interrupted(1, running));
  worker.post(counting(2, waiting));
  running.begun.get_future().wait();
  worker.stop([&] { last = running.ran == 1; });
  check(waiting.dropped == 1 && !worker.post(counting(3, late)), "it still takes tasks");
  worker.interrupt();
  worker.join();
  check(last, "the last work did not run, or not after the running task");
  check(late.ran + late.dropped == 0, "a refused task was touched");
});

const Registration callers("worker: with many callers each task runs once or is dropped once", [] {
  constexpr int kCallers = 4, kTasks = 2000;
  std::vector<std::unique_ptr<Fate>> fates;
  for (int i = 0; i < kCallers * kTasks; ++i) fates.push_back(std::make_unique<Fate>());
  std::atomic<int> refused{0};
  {
    Worker worker;
    std::vector<std::thread> callers;
    for (int caller = 0; caller < kCallers; ++caller) {
      callers.emplace_back([&, caller] {
        for (int i = 0; i < kTasks; ++i) {
          const int id = caller * kTasks + i;
          if (!worker.post(counting(id, *fates[static_cast<size_t>(id)]))) ++refused;
          if (i % 3 == 0) worker.cancel(id);
          worker.interrupt();
          if (caller == 0 && i == kTasks / 2) worker.stop();
        }
      });
    }
    for (std::thread& caller : callers) caller.join();
  }
  int ended = 0;
  for (const auto& fate : fates) {
    check(fate->ran + fate->dropped <= 1, "a task ended twice");
    ended += fate->ran + fate->dropped;
  }
  check(refused > 0 && ended + refused == kCallers * kTasks, ended, " tasks ended and ", refused.load(), " were refused");
});

}  // namespace
}  // namespace cornernet::testing
