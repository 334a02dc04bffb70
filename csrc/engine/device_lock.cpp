#include "engine/device_lock.h"

#include <ATen/Context.h>

namespace cornernet {

int DeviceLock::waiting() {
  const std::lock_guard lock(mutex_);
  return waiting_ + waiting_alone_;
}

DeviceLock::Use::Use(DeviceLock& of, Kind kind) : lock_(of), kind_(kind) {
  std::unique_lock lock(lock_.mutex_);
  int& waiting = kind == kAlone ? lock_.waiting_alone_ : lock_.waiting_;
  ++waiting;
  lock_.changed_.wait(lock, [&] { return !lock_.alone_ && (kind == kAlone ? lock_.inside_ == 0 : lock_.waiting_alone_ == 0); });
  --waiting;
  ++lock_.inside_;
  lock_.alone_ = kind == kAlone;
}

DeviceLock::Use::~Use() {
  const std::lock_guard lock(lock_.mutex_);
  --lock_.inside_;
  if (kind_ == kAlone) lock_.alone_ = false;
  lock_.changed_.notify_all();
}

namespace {

/// LibTorch's settings that a forward depends on.
struct Settings {
  using Sums = at::CuBLASReductionOption;
  static constexpr Sums kExact = Sums::DisallowReducedPrecisionAllowSplitK;  // a product's parts are added in fp32
  bool tf32_cudnn, tf32_cublas, deterministic, benchmark;
  Sums fp16_sums, bf16_sums;

  static Settings now() {
    const at::Context& context = at::globalContext();
    return {context.allowTF32CuDNN(), context.allowTF32CuBLAS(),          context.deterministicCuDNN(),
            context.benchmarkCuDNN(), context.allowFP16ReductionCuBLAS(), context.allowBF16ReductionCuBLAS()};
  }
  void apply() const {
    at::Context& context = at::globalContext();
    context.setAllowTF32CuDNN(tf32_cudnn);
    context.setAllowTF32CuBLAS(tf32_cublas);
    context.setDeterministicCuDNN(deterministic);
    context.setBenchmarkCuDNN(benchmark);
    context.setAllowFP16ReductionCuBLAS(fp16_sums == Sums::AllowReducedPrecisionWithSplitK, fp16_sums <= kExact);
    context.setAllowBF16ReductionCuBLAS(bf16_sums == Sums::AllowReducedPrecisionWithSplitK, bf16_sums <= kExact);
  }
};

struct InForce {
  std::mutex mutex;
  std::condition_variable left;
  CudaRules rules;
  int holders = 0;
  Settings before{};
};

InForce& in_force() {
  static InForce one;
  return one;
}

}  // namespace

RulesInForce::RulesInForce(const CudaRules& rules) {
  InForce& now = in_force();
  std::unique_lock lock(now.mutex);
  now.left.wait(lock, [&] {
    return now.holders == 0 || (now.rules.tf32 == rules.tf32 && now.rules.deterministic == rules.deterministic && now.rules.search == rules.search);
  });
  if (now.holders++ > 0) return;
  now.rules = rules;
  now.before = Settings::now();
  // PyTorch's own defaults allow TF32, add a product's parts in 16 bits and search for no algorithm.
  Settings{rules.tf32, rules.tf32, rules.deterministic, rules.search && !rules.deterministic, Settings::kExact, Settings::kExact}.apply();
}

RulesInForce::~RulesInForce() {
  InForce& now = in_force();
  const std::lock_guard lock(now.mutex);
  if (--now.holders > 0) return;
  now.before.apply();
  now.left.notify_all();
}

}  // namespace cornernet
