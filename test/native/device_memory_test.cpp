// Watching what a computation allocates.
#include "engine/device_memory.h"

#include <ATen/ops/empty.h>

#include "test.h"

namespace cornernet::testing {
namespace {

const Registration peak("engine: the peak of a computation's memory is what was held at a time, above what was there before", [] {
  constexpr int64_t kMegabyte = 1 << 20;
  const auto bytes = [](int64_t count) { return at::empty({count}, at::TensorOptions(at::kByte)); };
  const at::Tensor before = bytes(16 * kMegabyte);
  const PeakMemory memory(at::Device(at::kCPU));
  check(memory.bytes() == 0, "nothing was allocated yet");
  { const at::Tensor a = bytes(3 * kMegabyte), b = bytes(2 * kMegabyte); }
  const at::Tensor c = bytes(4 * kMegabyte);
  check(memory.bytes() == 5 * kMegabyte, "the peak is ", memory.bytes());
});

}  // namespace
}  // namespace cornernet::testing
