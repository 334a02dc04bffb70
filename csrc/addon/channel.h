// Runs work on a thread of its own, its last step on a second one, and settles JavaScript promises with what comes out.
#pragma once
#include <napi.h>

#include <functional>
#include <memory>
#include <vector>

#include "runtime/worker.h"

namespace cornernet {

/// The id of the call that a channel's others stand on, a load or a beginning; others have ids from 1 on.
constexpr int64_t kFirstCall = 0;

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
  Napi::Promise submit(const Napi::Value& owner, int64_t id, std::function<Result()> work);
  /// The same in two steps: what `work` returns runs on a second thread, calls in order, while the first thread takes the next call.
  Napi::Promise submit_in_two(const Napi::Value& owner, int64_t id, std::function<std::function<Result()>()> work);
  /// As submit, on the second thread: for what needn't wait for the calls on the first.
  Napi::Promise submit_aside(const Napi::Value& owner, int64_t id, std::function<Result()> work);
  /// Drops the call of this id, which rejects with ERR_CLOSED: at once when it waits, at its next step when it runs.
  void cancel(int64_t id);
  /// Refuses new calls, rejects waiting ones, lets the running one finish, runs `last` on the thread and ends it. Every call's promise resolves then.
  Napi::Promise close(std::function<void()> last);
  /// The same without a promise: for an owner that was garbage-collected.
  void request_stop(std::function<void()> last);
  /// Gives up what runs, joins, and settles nothing any more: the process or the environment is ending.
  void end();

 private:
  struct Completion;
  /// Whoever holds it settles the call; it is empty then.
  using Call = std::shared_ptr<std::unique_ptr<Completion>>;
  explicit Channel(Napi::Env env) : env_(env) {}
  /// A call, its promise, and how a thread is given it.
  Napi::Promise enqueue(Worker& thread, const Napi::Value& owner, int64_t id, std::function<void(const Call&)> run);
  static void complete(const Call& call, std::function<Result()> work);
  static void fail(const Call& call, std::exception_ptr failure);
  void post(Completion* completion);
  void hold_loop();
  void release_loop();
  /// Of both threads; worker_.stop() was called.
  void join();
  void finish_close();
  static void deliver(napi_env env, napi_value callback, void* context, void* data);
  static void on_environment_end(void* channel);

  Napi::Env env_;
  napi_threadsafe_function deliverer_ = nullptr;
  int pending_ = 0;  // completions still to come; the event loop stays alive for them
  bool stop_requested_ = false, closed_ = false;
  std::vector<Napi::Promise::Deferred> closers_;
  Worker finisher_, worker_;
};

/// The channels of one environment. process.exit() runs no clean-up hooks and destroys LibTorch's statics under running threads,
/// so they all end at the process's 'exit' event.
class Channels {
 public:
  explicit Channels(Napi::Env env);
  std::shared_ptr<Channel> open(Napi::Env env, const char* name);
  /// The same for an object of a class that was defined with these channels as its data.
  static std::shared_ptr<Channel> open_for(const Napi::CallbackInfo& info, const char* name);

 private:
  std::shared_ptr<std::vector<std::weak_ptr<Channel>>> channels_ = std::make_shared<std::vector<std::weak_ptr<Channel>>>();
};

}  // namespace cornernet
