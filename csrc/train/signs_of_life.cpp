#include "train/signs_of_life.h"

#include "train/rendezvous.h"

namespace cornernet::train {

std::string rank_of(int rank, int processes) { return "rank " + std::to_string(rank) + " of " + std::to_string(processes); }

/// One of each process.
std::vector<std::string> key_of_each(const std::string& what, int processes) {
  std::vector<std::string> keys;
  for (int rank = 0; rank < processes; ++rank) keys.push_back(what + "/" + std::to_string(rank));
  return keys;
}

std::vector<uint8_t> bytes_of(const std::string& text) { return {text.begin(), text.end()}; }
std::string text_of(const std::vector<uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

namespace {

/// Who keeps the store, in words.
std::string keeper_of(const Membership& self) {
  return (self.hosted ? "the store of who started them" : rank_of(0, self.processes)) + ", through which the processes hear of each other,";
}

/// What was last heard of a process.
struct Heard {
  std::string beat;
  int64_t round = 0;
};

/// The signs of life, this process's and the others', through a store of their own. With their end the store is silent, or has ended too.
/// Others are dead after so many rounds of this process, which are a beat or longer: the clock also runs while a whole training is stopped, of which
/// one goes on first.
void show_life(Bell& bell, const Membership& self, c10d::Store& store) {
  const std::string own = "beat/" + std::to_string(self.rank);
  const std::vector<std::string> beats = key_of_each("beat", self.processes), gone = key_of_each("gone", self.processes);
  std::vector<Heard> heard(beats.size());
  try {
    while (!bell.ending) {
      store.set(own, bytes_of(std::to_string(bell.rounds + 1)));
      if (store.check({"ended"})) bell.say(text_of(store.get("ended")));
      const auto values = store.multiGet(beats);
      for (size_t rank = 0; rank < values.size(); ++rank) {
        const std::string beat = text_of(values[rank]);
        if (beat != heard[rank].beat) heard[rank] = {beat, bell.rounds};
        // Who has left is done, unless it said why it ended.
        const bool silent = (bell.rounds - heard[rank].round) * kBeat > self.dead;
        if (silent && !store.check({gone[rank]})) bell.say(rank_of(static_cast<int>(rank), self.processes) + kNoLife);
      }
      ++bell.rounds;
      for (int looks = 0; !bell.ending && looks * kLook < kBeat; ++looks) std::this_thread::sleep_for(kLook);
    }
  } catch (const std::exception&) {
    if (!bell.ending) bell.say(keeper_of(self) + " has ended");
  }
  bell.ended = true;
}

/// Rings the bell until the signs of life have ended, and notices when the store lets them wait. It counts its looks and doesn't ask the clock: a
/// process that was itself stopped blames nobody when it goes on.
void watch(Bell& bell, const Membership& self) {
  int64_t seen = 0;
  for (int looks = 0; !bell.ending || !(bell.ended || bell.unanswered); ++looks) {
    std::this_thread::sleep_for(kLook);
    if (bell.rounds != seen || bell.ended) {
      seen = bell.rounds;
      looks = 0;
    }
    if (looks * kLook > (bell.ending ? kFarewell : self.dead)) {
      bell.unanswered = true;
      bell.say(keeper_of(self) + kNoLife);
    }
    bell.ring();
  }
}

}  // namespace

void SignsOfLife::begin(const Membership& self) {
  life_ = std::thread([bell = bell_, self, store = open_store(self, false)] { show_life(*bell, self, *store); });
  watcher_ = std::thread([bell = bell_, self] { watch(*bell, self); });
}

SignsOfLife::~SignsOfLife() {
  bell_->ending = true;
  if (watcher_.joinable()) watcher_.join();
  if (life_.joinable()) bell_->ended ? life_.join() : life_.detach();
}

}  // namespace cornernet::train
