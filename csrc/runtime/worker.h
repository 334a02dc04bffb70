// One thread that runs tasks in order, so that a device has one caller and OpenMP one team.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace cornernet {

class Worker {
 public:
  /// `run` computes; `drop` is called instead, on whichever thread drops it, for a task that will never run. Neither may throw.
  struct Task {
    int64_t id;
    std::function<void()> run;
    std::function<void()> drop;
  };

  Worker();
  /// Drops what waits and joins; the running task is waited for.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// False, and the task untouched, once stop() was called.
  bool post(Task task);
  /// Drops the task of this id if it waits, interrupts it if it runs (runtime/interrupt.h).
  void cancel(int64_t id);
  /// Refuses new tasks and drops the waiting ones. `last` then runs on the worker's thread, after the running task. Later calls do nothing.
  void stop(std::function<void()> last = {});
  /// Interrupts whatever runs.
  void interrupt();
  /// Waits for the thread to end; stop() must have been called. Not from the worker's own thread.
  void join();

 private:
  void loop();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Task> tasks_;
  std::function<void()> last_;
  bool stopping_ = false;
  int64_t running_id_ = 0;
  bool running_ = false;
  std::atomic<bool> interrupted_{false};
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace cornernet
