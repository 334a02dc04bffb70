// Runs work on one thread of its own and settles JavaScript promises with what comes out.
#pragma once
#include <napi.h>

#include <functional>
#include <memory>
#include <vector>

#include "runtime/worker.h"

namespace cornernet {

/// Every method is for the JavaScript thread. The environment's end (a worker terminated) interrupts what runs and joins.
class Channel : public std::enable_shared_from_this<Channel> {
 public:
  /// Makes the JavaScript value of a result, on the JavaScript thread.
  using Result = std::function<Napi::Value(Napi::Env)>;

  static std::shared_ptr<Channel> open(Napi::Env env, const char* name);
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  /// A promise of what `work` returns, which runs on the channel's thread; what it throws rejects. `owner` is kept alive until then.
  Napi::Promise submit(Napi::Object owner, int64_t id, std::function<Result()> work);
  /// Drops the call of this id, which rejects with ERR_CLOSED: at once when it waits, at its next step when it runs.
  void cancel(int64_t id) { worker_.cancel(id); }
  /// Refuses new calls, rejects waiting ones, lets the running one finish, runs `last` on the thread and ends it. Every call's promise resolves then.
  Napi::Promise close(std::function<void()> last);
  /// The same without a promise: for an owner that was garbage-collected.
  void abandon(std::function<void()> last);
  /// Gives up what runs, joins, and settles nothing any more: the process or the environment is ending.
  void end();

 private:
  struct Completion;
  explicit Channel(Napi::Env env) : env_(env) {}
  void post(Completion* completion);
  void hold_loop();
  void release_loop();
  void request_stop(std::function<void()> last);
  void finish_close();
  static void deliver(napi_env env, napi_value callback, void* context, void* data);
  static void on_environment_end(void* channel);

  Napi::Env env_;
  napi_threadsafe_function deliverer_ = nullptr;
  int pending_ = 0;  // completions still to come; the event loop stays alive for them
  bool stop_requested_ = false, closed_ = false;
  std::vector<Napi::Promise::Deferred> closers_;
  Worker worker_;
};

/// The channels of one environment. process.exit() runs no clean-up hooks and destroys LibTorch's statics under running threads,
/// so they all end at the process's 'exit' event.
class Channels {
 public:
  explicit Channels(Napi::Env env);
  std::shared_ptr<Channel> open(Napi::Env env, const char* name);

 private:
  std::shared_ptr<std::vector<std::weak_ptr<Channel>>> channels_ = std::make_shared<std::vector<std::weak_ptr<Channel>>>();
};

}  // namespace cornernet
