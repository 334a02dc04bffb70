// Who may use a GPU at a time: recordings alone, everything else beside each other; and how LibTorch may compute meanwhile.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace cornernet {

/// One for each device. While a stream is recorded, another detector's tensors would come from the recording's pool, and its searches for algorithms
/// synchronise the device, which may break the recording; and what a forward takes is measured for the device as a whole. Whoever waits to record
/// goes before those who come later, or a busy device would never be recorded on.
class DeviceLock {
 public:
  enum Kind { kShared, kAlone };
  /// Not twice on one thread.
  class Use {
   public:
    Use(DeviceLock& lock, Kind kind);
    ~Use();
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    DeviceLock& lock_;
    Kind kind_;
  };

  /// Threads that wait for either.
  int waiting();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int inside_ = 0, waiting_ = 0, waiting_alone_ = 0;
  bool alone_ = false;
};

/// What those who use one device share, each device's one.
struct SharedDevice {
  DeviceLock lock;
  std::atomic<int64_t> recordings_idle_bytes{0};  // memory that recordings keep between their launches, which nobody else can have
};

/// How a detector may compute on CUDA; nothing on the CPU.
struct CudaRules {
  bool tf32 = false, deterministic = false;  // of cuDNN
  bool graphs = true;                        // records forwards and replays them
  bool search = true;                        // kernels that cuDNN has not been asked for yet are searched; else its heuristics pick them
};

/// LibTorch holds TF32, determinism and cuDNN's search for the whole process: while one of these is alive they are what `rules` say, and whoever
/// wants others waits. Held for what a forward gives to the device, not for what the device does with it; recordings keep what they were made with.
/// The last one gives the process back what it had before the first.
class RulesInForce {
 public:
  explicit RulesInForce(const CudaRules& rules);
  ~RulesInForce();
  RulesInForce(const RulesInForce&) = delete;
  RulesInForce& operator=(const RulesInForce&) = delete;
};

}  // namespace cornernet
