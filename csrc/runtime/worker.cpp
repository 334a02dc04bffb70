#include "runtime/worker.h"

#include <algorithm>
#include <string>
#include <system_error>
#include <utility>

#include "runtime/error.h"
#include "runtime/interrupt.h"

namespace cornernet {

Worker::Worker() try : thread_([this] { loop(); }) {
} catch (const std::system_error& error) {
  throw Error(ErrorCode::OutOfMemory, std::string("no thread can be started: ") + error.what());
}

Worker::~Worker() {
  stop();
  join();
}

bool Worker::post(Task task) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return false;
    tasks_.push_back(std::move(task));
  }
  wake_.notify_one();
  return true;
}

void Worker::cancel(int64_t id) {
  Task dropped;
  {
    const std::lock_guard lock(mutex_);
    if (running_ && running_id_ == id) interrupted_ = true;
    const auto found = std::find_if(tasks_.begin(), tasks_.end(), [id](const Task& task) { return task.id == id; });
    if (found == tasks_.end()) return;
    dropped = std::move(*found);
    tasks_.erase(found);
  }
  dropped.drop();
}

void Worker::stop(std::function<void()> last) {
  std::deque<Task> dropped;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    stopping_ = true;
    last_ = std::move(last);
    dropped.swap(tasks_);
  }
  wake_.notify_one();
  for (Task& task : dropped) task.drop();
}

void Worker::interrupt() {
  const std::lock_guard lock(mutex_);
  interrupted_ = true;
}

void Worker::join() {
  if (thread_.joinable()) thread_.join();
}

void Worker::loop() {
  interrupt_flag = &interrupted_;
  for (;;) {
    Task task;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
      if (tasks_.empty()) break;
      task = std::move(tasks_.front());
      tasks_.pop_front();
      running_ = true;
      running_id_ = task.id;
      interrupted_ = false;
    }
    task.run();
    task = {};  // what it holds goes before the next one is waited for
    const std::lock_guard lock(mutex_);
    running_ = false;
  }
  if (last_) last_();
}

}  // namespace cornernet
