// What the engine does on a GPU around the network, one call at a time, for tests of the kernels.
#pragma once
#include <c10/core/StreamGuard.h>

#include <vector>

#include "engine/device_calls.h"

namespace cornernet::testing {

/// DeviceCalls of the first GPU, whose stream is LibTorch's current one.
struct GpuCalls {
  DeviceCalls calls{runtime_of(at::Device(at::kCUDA, 0))};
  c10::StreamGuard on_stream{calls.runtime()->torch_stream(calls.stream().get()).value()};

  at::Tensor dense(const at::Tensor& map) { return map.to(calls.runtime()->device()); }
};

/// As make_input on the CPU; the result is on the CPU, in its layout.
inline at::Tensor input_on_gpu(const InputPlan& plan, at::ScalarType type) {
  GpuCalls gpu;
  DeviceCalls::Call call = gpu.calls.begin(plan, {}, {});
  const at::Tensor input = empty_input(plan, type, gpu.calls.runtime()->device());
  call.make_input(input);
  return input.cpu();  // waits for the current stream
}

/// As decode_corners of maps on the CPU, which go there and come back.
inline DecodedViews decode_on_gpu(const HeadMaps& maps, const std::vector<ViewGeometry>& views, const DecodeOptions& options) {
  GpuCalls gpu;
  const auto moved = [&](const CornerMaps& of) { return CornerMaps{gpu.dense(of.heat), gpu.dense(of.emb), gpu.dense(of.off)}; };
  const HeadMaps there{moved(maps.tl), moved(maps.br)};
  DeviceCalls::Call call = gpu.calls.begin({}, views, options);
  call.decode(there);
  return call.finish()();
}

}  // namespace cornernet::testing
