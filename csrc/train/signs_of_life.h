// How processes that train together hear of each other's end: beats through their store, and a bell that wakes who waits for a sum.
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "train/process_group.h"

namespace cornernet::train {

inline constexpr std::chrono::seconds kBeat{1};      // between two signs of life
inline constexpr std::chrono::seconds kFarewell{5};  // for the others to hear why the store's keeper ends
inline constexpr const char* kNoLife = " shows no sign of life any more";

std::string rank_of(int rank, int processes);
/// One of each process.
std::vector<std::string> key_of_each(const std::string& what, int processes);
std::vector<uint8_t> bytes_of(const std::string& text);
std::string text_of(const std::vector<uint8_t>& bytes);

/// What a group's threads share; one of them may have to be left to itself, in a question that the store never answers. Who waits is woken now and
/// then too, to look whether it still makes sense. (Waiting for a time wants a newer glibc than prebuilt addons may.)
struct Bell {
  std::mutex mutex;
  std::condition_variable wake;
  std::string lost;                     // why nothing more can come of the group
  std::atomic<int64_t> rounds{0};       // that the signs of life have made
  std::atomic<bool> ending{false};      // they are to end
  std::atomic<bool> ended{false};       // they have
  std::atomic<bool> unanswered{false};  // the store has fallen silent

  void ring() {
    const std::lock_guard lock(mutex);
    wake.notify_all();
  }
  void say(const std::string& sentence) {
    const std::lock_guard lock(mutex);
    if (lost.empty()) lost = sentence;
  }
  std::string sentence() {
    const std::lock_guard lock(mutex);
    return lost;
  }
};

/// What `question` gives, asked on a thread of its own, which is left to itself when `look`, called meanwhile, throws.
template <typename Question, typename Look>
auto ask(Question question, Look look) {
  struct Answer {
    std::optional<decltype(question())> given;
    std::exception_ptr failure;
    std::atomic<bool> is_there{false};
  };
  const auto answer = std::make_shared<Answer>();
  std::thread([answer, question = std::move(question)] {
    try {
      answer->given = question();
    } catch (...) {
      answer->failure = std::current_exception();
    }
    answer->is_there = true;
  }).detach();
  for (; !answer->is_there; std::this_thread::sleep_for(std::chrono::milliseconds(5))) look();
  if (answer->failure) std::rethrow_exception(answer->failure);
  return std::move(*answer->given);
}

/// The threads of the signs of life.
class SignsOfLife {
 public:
  explicit SignsOfLife(std::shared_ptr<Bell> bell) : bell_(std::move(bell)) {}
  /// Ends them, unless the store lets one wait: that is left to itself.
  ~SignsOfLife();
  SignsOfLife(const SignsOfLife&) = delete;
  SignsOfLife& operator=(const SignsOfLife&) = delete;
  /// Through a store of their own.
  void begin(const Membership& self);

 private:
  std::shared_ptr<Bell> bell_;
  std::thread life_, watcher_;
};

}  // namespace cornernet::train
