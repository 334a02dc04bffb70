#include "bench/bench.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mm.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <functional>
#include <memory>
#include <utility>

#include "bench/operators.h"
#include "engine/device.h"
#include "engine/device_clock.h"
#include "engine/device_lock.h"
#include "engine/guarded.h"
#include "ops/quantized_conv.h"
#include "runtime/error.h"
#include "runtime/interrupt.h"

namespace cornernet::bench {
namespace {

// More than the caches of one core hold, and quick to write. A server's shared last level may be larger still: the report states the bytes.
constexpr int64_t kColdBytes = int64_t{256} << 20;
constexpr double kPeakRoundSeconds = 0.05;
constexpr double kLeastSeconds = 0.005;  // of back-to-back calls: long against the clock's microsecond and an event's
constexpr int kLeastRounds = 5, kMostRounds = 200, kMostCalls = 1000;

struct Runner {
  std::string name;
  std::function<void()> run;
};

/// Seconds of one of `calls` calls, by the device's own clock.
double seconds_of(at::Device device, const std::function<void()>& run, int calls) {
  DeviceClock clock(device);
  for (int i = 0; i < calls; ++i) run();
  clock.lap(0);
  return clock.milliseconds(1)[0] / 1000 / calls;
}

/// How many calls of `run` fill a round of `least_seconds`, after two warm-up calls.
int calls_a_round(at::Device device, const std::function<void()>& run, double least_seconds) {
  seconds_of(device, run, 1);
  const double once = std::max(seconds_of(device, run, 1), 1e-7);
  return static_cast<int>(std::clamp(least_seconds / once, 1.0, static_cast<double>(kMostCalls)));
}

/// The runners take turns, so that what disturbs the machine disturbs all of them alike: rounds until `seconds` are over, at least kLeastRounds of
/// them. Before each cold call `flush` is written over.
std::vector<Timing> time_in_turns(at::Device device, const std::vector<Runner>& runners, at::Tensor flush, double seconds) {
  using Clock = std::chrono::steady_clock;
  std::vector<Timing> timings;
  std::vector<int> calls;
  for (const Runner& runner : runners) {
    timings.push_back({runner.name, {}, {}});
    calls.push_back(calls_a_round(device, runner.run, kLeastSeconds));
  }
  const auto begin = Clock::now();
  for (int round = 0; round < kMostRounds; ++round) {
    if (round >= kLeastRounds && std::chrono::duration<double>(Clock::now() - begin).count() > seconds) break;
    for (size_t i = 0; i < runners.size(); ++i) {
      check_interrupted();
      timings[i].back_to_back.push_back(seconds_of(device, runners[i].run, calls[i]));
      flush.fill_(static_cast<double>(round % 100));
      timings[i].cold.push_back(seconds_of(device, runners[i].run, 1));
    }
  }
  return timings;
}

struct Target {
  at::Device device;
  at::ScalarType dtype;
  bool int8;  // of convolutions, what is not of 8 bits is `dtype`
};

/// On CUDA the engine's own: no TF32, algorithms searched.
RulesInForce engine_rules() { return RulesInForce(CudaRules{}); }

Target target_of(const Setting& setting) {
  const at::Device device = resolve_device(setting.device);
  use_threads(setting.threads);
  const bool int8 = setting.precision == "int8";
  if (int8) require_int8(device);
  return {device, resolve_precision(int8 ? "auto" : setting.precision, device), int8};
}

/// A copy of half as many bytes moves `bytes`.
Runner copy_of(double bytes, at::Device device) {
  const at::Tensor from = at::empty({std::max<int64_t>(1, static_cast<int64_t>(bytes / 2))}, at::TensorOptions(at::kByte).device(device));
  const at::Tensor to = at::empty_like(from);
  from.fill_(1);
  return {"copy", [from, to] { to.copy_(from); }};
}

/// The rate of each round in which `run` does `amount`.
std::vector<double> rates(const Target& target, double seconds, double amount, const std::function<void()>& run) {
  const int calls = calls_a_round(target.device, run, kPeakRoundSeconds);
  const int rounds = std::clamp(static_cast<int>(seconds / kPeakRoundSeconds), kLeastRounds, kMostRounds);
  std::vector<double> found;
  for (int round = 0; round < rounds; ++round) {
    check_interrupted();
    found.push_back(amount / seconds_of(target.device, run, calls));
  }
  return found;
}

/// A convolution of bytes, `side` each way; with a kernel of 1 it is a product of matrices.
std::function<void()> int8_conv(int64_t in, int64_t out, int64_t side, int64_t kernel) {
  const at::Tensor weight = at::empty({out, in, kernel, kernel}, at::kChar).fill_(1), ones = at::empty({out}, at::kFloat).fill_(1);
  const auto conv = std::make_shared<QuantizedConv>(weight, ones, ones, 1, at::kFloat);
  const at::Tensor bytes = at::empty({1, in, side, side}, at::TensorOptions(at::kByte).memory_format(at::MemoryFormat::ChannelsLast)).fill_(1);
  return [conv, x = as_quantized(bytes, {1, 0}), to = Affine{1e4, 0}] { conv->forward(x, /*relu=*/true, to); };
}

PeakRates matmul_peak(const Target& target, double seconds) {
  // Which size a library does best differs by machine and type, so several are tried and the best counts.
  const auto sides = target.device.is_cpu() ? std::array<int64_t, 3>{512, 1024, 2048} : std::array<int64_t, 3>{4096, 8192, 16384};
  PeakRates best;
  for (const int64_t side : sides) {
    const auto edge = static_cast<double>(side);
    double flops = 2 * edge * edge * edge;
    std::function<void()> run;
    if (target.int8) {
      const auto places = static_cast<int64_t>(std::sqrt(edge));
      flops = 2 * edge * edge * static_cast<double>(places * places);
      run = int8_conv(side, side, places, 1);
    } else {
      const at::Tensor a = at::empty({side, side}, at::TensorOptions(target.dtype).device(target.device)).fill_(0.5),
                       b = at::empty_like(a).fill_(0.25);
      run = [a, b, product = at::empty_like(a)]() mutable { at::mm_out(product, a, b); };
    }
    PeakRates peak{rates(target, seconds / sides.size(), flops, run), side};
    if (best.rates.empty() || std::ranges::max(peak.rates) > std::ranges::max(best.rates)) best = std::move(peak);
  }
  return best;
}

PeakRates conv_peak(const Target& target, double seconds) {
  Work work;
  work.op = "conv";
  work.n = target.device.is_cpu() ? 1 : 16;
  work.in_channels = work.out_channels = 256;
  work.height = work.width = 128;
  work.kernel = 3;
  work.bytes = 1;  // not asked for
  const double flops = 2.0 * 9 * 256 * 256 * 128 * 128 * static_cast<double>(work.n);
  if (target.int8) return {rates(target, seconds, flops, int8_conv(256, 256, 128, 3)), 256};
  return {rates(target, seconds, flops, make_operator(work, target.dtype, target.device).ours), 256};
}

PeakRates copy_peak(const Target& target, double seconds) {
  const Runner copy = copy_of(2.0 * kColdBytes, target.device);
  return {rates(target, seconds, 2.0 * kColdBytes, copy.run), kColdBytes};
}

}  // namespace

Report bench_operator(const Work& work, const Setting& setting) {
  return guarded([&] {
    const Target target = target_of(setting);
    const RulesInForce rules = engine_rules();
    const Operator measured = make_operator(work, target.dtype, target.device, target.int8);
    Report report;
    report.largest_error = measured.error(measured.ours());
    if (!(report.largest_error <= 1)) {
      throw Error(ErrorCode::Internal, work.op + " of " + std::to_string(work.in_channels) + " to " + std::to_string(work.out_channels) +
                                           " channels, kernel " + std::to_string(work.kernel) + ", of " + std::to_string(work.width) + "x" +
                                           std::to_string(work.height) + ", differs from ATen's composition by " +
                                           std::to_string(report.largest_error) + " times what is allowed");
    }
    const at::Tensor flush = at::empty({kColdBytes / 4}, at::TensorOptions(at::kFloat).device(target.device));
    report.cold_bytes = kColdBytes;
    std::vector<Runner> runners{{"ours", [&] { measured.ours(); }}, {"aten", [&] { measured.aten(); }}, copy_of(work.bytes, target.device)};
    report.candidates = time_in_turns(target.device, runners, flush, setting.seconds);
    return report;
  });
}

PeakRates measure_peak(const std::string& kind, const Setting& setting) {
  return guarded([&] {
    const Target target = target_of(setting);
    const RulesInForce rules = engine_rules();
    if (kind == "matmul") return matmul_peak(target, setting.seconds);
    if (kind == "conv") return conv_peak(target, setting.seconds);
    if (kind == "copy") return copy_peak(target, setting.seconds);
    throw Error(ErrorCode::Option, "a peak is 'matmul', 'conv' or 'copy'");
  });
}

}  // namespace cornernet::bench
