#include "addon/channel.h"

#include <optional>
#include <utility>

#include "addon/js_error.h"
#include "runtime/error.h"

namespace cornernet {
namespace {

constexpr int64_t kNoCall = -1;  // an id that no call has

std::exception_ptr closed(const char* sentence) { return std::make_exception_ptr(Error(ErrorCode::Closed, sentence)); }
std::exception_ptr dropped() { return closed("the call was dropped: it was cancelled or the detector was closed"); }

}  // namespace

/// What the worker's thread hands to the JavaScript thread: a promise's outcome, or (no promise) that the channel has stopped.
struct Channel::Completion {
  std::shared_ptr<Channel> channel;
  std::optional<Napi::Promise::Deferred> deferred;
  Napi::ObjectReference owner;
  Result result;
  std::exception_ptr failure;

  void settle(Napi::Env env) {
    if (!failure) {
      try {
        deferred->Resolve(result(env));
        return;
      } catch (...) {
        failure = std::current_exception();
      }
    }
    deferred->Reject(to_js_error(env, failure).Value());
  }
};

std::shared_ptr<Channel> Channel::open(Napi::Env env, const char* name) {
  const std::shared_ptr<Channel> channel(new Channel(env));
  const napi_status status = napi_create_threadsafe_function(env, nullptr, nullptr, Napi::String::New(env, name), 0, 1, nullptr, nullptr, nullptr,
                                                             &Channel::deliver, &channel->deliverer_);
  if (status != napi_ok) {
    channel->closed_ = true;  // there is nothing to release
    throw Napi::Error::New(env);
  }
  napi_unref_threadsafe_function(env, channel->deliverer_);
  // Hooks run last-in first-out: this one joins the thread before the thread-safe function's own goes.
  napi_add_env_cleanup_hook(env, &Channel::on_environment_end, channel.get());
  return channel;
}

Channel::~Channel() {
  if (closed_) return;  // its threads, if they still run, wait for nothing
  napi_remove_env_cleanup_hook(env_, &Channel::on_environment_end, this);
  worker_.stop();
  join();
  napi_release_threadsafe_function(deliverer_, napi_tsfn_release);
}

Napi::Promise Channel::submit(const Napi::Value& owner, int64_t id, std::function<Result()> work) {
  return enqueue(worker_, owner, id, [work = std::move(work)](const Call& call) mutable { complete(call, std::exchange(work, nullptr)); });
}

Napi::Promise Channel::submit_aside(const Napi::Value& owner, int64_t id, std::function<Result()> work) {
  return enqueue(finisher_, owner, id, [work = std::move(work)](const Call& call) mutable { complete(call, std::exchange(work, nullptr)); });
}

Napi::Promise Channel::submit_in_two(const Napi::Value& owner, int64_t id, std::function<std::function<Result()>()> work) {
  return enqueue(worker_, owner, id, [this, id, work = std::move(work)](const Call& call) mutable {
    try {
      std::function<Result()> rest = std::exchange(work, nullptr)();
      // The second thread is stopped only after the first has ended: nothing is refused.
      finisher_.post(
          {id, [call, rest = std::move(rest)]() mutable { complete(call, std::exchange(rest, nullptr)); }, [call] { fail(call, dropped()); }});
    } catch (...) {
      fail(call, std::current_exception());
    }
  });
}

Napi::Promise Channel::enqueue(Worker& thread, const Napi::Value& owner, int64_t id, std::function<void(const Call&)> run) {
  // Shared, because std::function copies what it holds, and both outcomes need it.
  const auto call = std::make_shared<std::unique_ptr<Completion>>(std::make_unique<Completion>());
  Completion& completion = **call;
  completion.channel = shared_from_this();
  completion.deferred.emplace(Napi::Promise::Deferred::New(env_));
  completion.owner = Napi::Persistent(owner.As<Napi::Object>());
  const Napi::Promise promise = completion.deferred->Promise();
  if (stop_requested_ || closed_ || !thread.post({id, [call, run = std::move(run)] { run(call); }, [call] { fail(call, dropped()); }})) {
    completion.deferred->Reject(to_js_error(env_, closed("the detector is closed")).Value());
    return promise;
  }
  hold_loop();
  return promise;
}

void Channel::complete(const Call& call, std::function<Result()> work) {
  try {
    (*call)->result = work();
  } catch (...) {
    (*call)->failure = std::current_exception();
  }
  work = nullptr;  // a call's data is freed here, not on the JavaScript thread
  Completion* const completion = call->release();
  completion->channel->post(completion);
}

void Channel::fail(const Call& call, std::exception_ptr failure) {
  (*call)->failure = std::move(failure);
  Completion* const completion = call->release();
  completion->channel->post(completion);
}

void Channel::cancel(int64_t id) {
  worker_.cancel(id);
  finisher_.cancel(id);
}

Napi::Promise Channel::close(std::function<void()> last) {
  const auto deferred = Napi::Promise::Deferred::New(env_);
  if (closed_) {
    deferred.Resolve(env_.Undefined());
  } else {
    closers_.push_back(deferred);
    request_stop(std::move(last));
  }
  return deferred.Promise();
}

void Channel::request_stop(std::function<void()> last) {
  if (stop_requested_ || closed_) return;
  stop_requested_ = true;
  hold_loop();
  auto* stopped = new Completion;
  stopped->channel = shared_from_this();
  worker_.stop([this, stopped, last = std::move(last)] {
    if (last) last();
    const auto tell = [this, stopped] { post(stopped); };
    try {
      finisher_.post({kNoCall, tell, tell});  // behind the calls that are still on the second thread
    } catch (...) {
      tell();  // no memory even for that: the JavaScript thread will wait for them
    }
  });
}

void Channel::join() {
  worker_.join();
  finisher_.stop();
  finisher_.join();
}

void Channel::finish_close() {
  join();
  closed_ = true;
  napi_remove_env_cleanup_hook(env_, &Channel::on_environment_end, this);
  for (const auto& deferred : closers_) deferred.Resolve(env_.Undefined());
  closers_.clear();
  napi_release_threadsafe_function(deliverer_, napi_tsfn_release);
}

void Channel::post(Completion* completion) {
  // Refused only when the environment is going: nobody is left to tell.
  if (napi_call_threadsafe_function(deliverer_, completion, napi_tsfn_nonblocking) != napi_ok) {
    completion->owner.SuppressDestruct();
    delete completion;
  }
}

void Channel::hold_loop() {
  if (pending_++ == 0) napi_ref_threadsafe_function(env_, deliverer_);
}

void Channel::release_loop() {
  if (--pending_ == 0) napi_unref_threadsafe_function(env_, deliverer_);
}

void Channel::deliver(napi_env env, napi_value, void*, void* data) {
  const std::unique_ptr<Completion> completion(static_cast<Completion*>(data));
  if (env == nullptr) {  // the environment is going: nothing may be touched
    completion->owner.SuppressDestruct();
    return;
  }
  const Napi::HandleScope scope(env);
  const std::shared_ptr<Channel> channel = completion->channel;
  channel->release_loop();
  try {
    completion->deferred ? completion->settle(env) : channel->finish_close();
  } catch (...) {
    // A worker thread being terminated refuses to settle promises: nobody waits for them any more.
  }
}

void Channel::on_environment_end(void* data) { static_cast<Channel*>(data)->end(); }

void Channel::end() {
  if (closed_) return;
  // Held until the join is over: the last completion may be the only other holder, and it is freed on the channel's own thread.
  const std::shared_ptr<Channel> held = shared_from_this();
  worker_.stop();
  worker_.interrupt();
  worker_.join();
  finisher_.stop();  // first: its next call would not know that it is to end
  finisher_.interrupt();
  join();
  napi_remove_env_cleanup_hook(env_, &Channel::on_environment_end, this);
  closed_ = true;
}

Channels::Channels(Napi::Env env) {
  const Napi::Object process = env.Global().Get("process").As<Napi::Object>();
  const auto end_all = [channels = channels_](const Napi::CallbackInfo& info) {
    answered(info, [&] {
      for (const auto& weak : *channels) {
        if (const auto channel = weak.lock()) channel->end();
      }
    });
  };
  process.Get("once").As<Napi::Function>().Call(process, {Napi::String::New(env, "exit"), Napi::Function::New(env, end_all)});
}

std::shared_ptr<Channel> Channels::open(Napi::Env env, const char* name) {
  std::erase_if(*channels_, [](const auto& weak) { return weak.expired(); });
  std::shared_ptr<Channel> channel = Channel::open(env, name);
  channels_->push_back(channel);
  return channel;
}

std::shared_ptr<Channel> Channels::open_for(const Napi::CallbackInfo& info, const char* name) {
  return answered(info, [&] { return static_cast<Channels*>(info.Data())->open(info.Env(), name); });
}

}  // namespace cornernet
