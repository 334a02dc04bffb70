// What the benchmark stands on: counted work, device clocks, and a verification that notices.
#include "bench/bench.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <c10/core/InferenceMode.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "bench/operators.h"
#include "engine/device_clock.h"
#include "op_cases.h"
#include "ops/quantized.h"
#include "runtime/interrupt.h"
#include "test.h"
#include "tiny_network.h"

using namespace cornernet;
using namespace cornernet::testing;

namespace {

Work work_of(const char* op) {
  Work work;
  work.op = op;
  work.in_channels = work.out_channels = 32;
  work.height = 9;
  work.width = 7;
  work.bytes = 1000;
  return work;
}

void check_operators(at::Device device) {
  const c10::InferenceMode inference;
  Work conv = work_of("conv");
  conv.kernel = 3;
  conv.relu = conv.residual = true;
  for (const Work& work : {work_of("pool_pair"), work_of("upsample_add"), conv}) {
    for (const at::ScalarType type : precisions_on(device)) {
      const bench::Operator op = bench::make_operator(work, type, device);
      check(op.error(op.ours()) <= 1, work.op, " of ", type, " is called wrong");
      check(op.error(op.aten()) <= 1, work.op, " of ", type, ": ATen's composition is called wrong");
      check(!(op.error(at::empty_like(op.ours()).fill_(0.25)) <= 1), work.op, " of ", type, ": a wrong result passes");
    }
  }
}

const Registration int8_operators("bench: operators on maps of 8 bits are called right", [] {
  skip_without_int8();
  const c10::InferenceMode inference;
  Work conv = work_of("conv"), added = work_of("conv");
  conv.kernel = added.kernel = 3;
  added.relu = added.residual = true;
  for (const Work& work : {work_of("pool_pair"), work_of("upsample_add"), conv, added}) {
    const bench::Operator op = bench::make_operator(work, at::kFloat, at::kCPU, /*int8=*/true);
    check(op.error(op.ours()) <= 1 && op.error(op.aten()) == 0, work.op, " is called wrong");
    const at::Tensor y = op.ours();
    bytes_of(y).fill_(77);
    check(!(op.error(y) <= 1), work.op, ": a wrong result passes");
  }
});

void check_clock(at::Device device) {
  const auto begin = std::chrono::steady_clock::now();
  DeviceClock clock(device);
  const auto nap = [] { std::this_thread::sleep_for(std::chrono::milliseconds(20)); };
  nap();
  clock.lap(1);
  clock.lap(0);
  nap();
  clock.lap(1);
  const auto sums = clock.milliseconds(3);
  const double whole = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
  // An idle device stamps an event at once, within a millisecond.
  check(sums[1] >= 39 && sums[1] <= whole + 1, "two naps of 20 ms are ", sums[1], " ms of ", whole);
  check(sums[0] < 20 && sums[2] == 0, "laps went to the wrong keys: ", sums[0], ", ", sums[2]);
}

const Registration counted("bench: the counted network has the shapes of the computed one", [] {
  const at::NoGradGuard no_grad;
  const CornerNetConfig config = tiny_config();
  CornerNet network(config);
  auto tensors = draw_state_dict(config);
  auto parameters = network.parameters();
  for (size_t i = 0; i < parameters.size(); ++i) *parameters[i].slot = tensors[i].second;
  const auto before = network.work(2, 127, 63, at::kFloat);
  network.prepare(at::kFloat, at::kCPU);
  const auto after = network.work(2, 127, 63, at::kFloat);
  check(before.size() == after.size() && !before.empty(), "preparing changes the counted operators: ", before.size(), " and ", after.size());
  const at::Tensor meta = at::empty({2, 3, 127, 63}, at::TensorOptions(at::kFloat).device(at::kMeta));
  const HeadMaps shapes = network.forward(meta);
  const HeadMaps maps = network.forward(at::zeros({2, 3, 127, 63}).contiguous(at::MemoryFormat::ChannelsLast));
  check(shapes.tl.heat.sizes() == maps.tl.heat.sizes() && shapes.br.off.sizes() == maps.br.off.sizes(),
        "the maps' shapes differ: ", shapes.tl.heat.sizes(), " and ", maps.tl.heat.sizes());
  check(network.work(4, 127, 63, at::kFloat)[0].flops == 2 * before[0].flops, "twice the views are not twice the work");
  check(network.work(2, 127, 63, at::kBFloat16)[0].bytes * 2 == before[0].bytes, "half the element is not half the bytes");
});

const Registration given_up("bench: measuring a peak can be given up", [] {
  const std::atomic<bool> interrupted{true};
  const Meanwhile asked(interrupt_flag, &interrupted);
  refused(ErrorCode::Closed, [] { bench::measure_peak("copy", {"cpu", "fp32", 1, 0.01}); });
});

const OnEveryDevice operators("bench: an operator's verification passes what is right and notices what is wrong", check_operators);
const OnEveryDevice clocks("bench: a device's clock adds up laps by key", check_clock);

}  // namespace
