#include "ops/fold_norm.h"

#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <algorithm>

#include "ops/cpu/element.h"
#include "ops/cpu/widest_vectors.h"
#include "runtime/machine.h"

namespace cornernet {
namespace {

constexpr int64_t kPartBytes = 256 << 10;

}  // namespace

at::Tensor scale_outputs(const at::Tensor& weight, const at::Tensor& scale, at::ScalarType dtype) {
  const at::Tensor from = weight.to(at::kFloat).contiguous();
  at::Tensor to = at::empty(from.sizes(), at::TensorOptions(dtype));
  const int64_t outputs = from.size(0), each = from.numel() / outputs;
  const float* const in = from.const_data_ptr<float>();
  const double* const by = scale.const_data_ptr<double>();
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, dtype, "scale_outputs", [&] {
    scalar_t* const out = to.mutable_data_ptr<scalar_t>();
    // Part by part, so that fresh pages are still in the core's cache when they are written.
    const int64_t part = std::max<int64_t>(1, kPartBytes / (each * static_cast<int64_t>(sizeof(scalar_t))));
    at::parallel_for(0, outputs, part, [&](int64_t begin, int64_t end) {
      for (int64_t first = begin; first < end; first += part) {
        const int64_t last = std::min(end, first + part);
        fault_in(out + first * each, static_cast<size_t>((last - first) * each) * sizeof(scalar_t));
        cpu::with_widest_vectors([&] {
          for (int64_t o = first; o < last; ++o) {
            for (int64_t i = o * each; i < (o + 1) * each; ++i) out[i] = cpu::Element<scalar_t>::store(static_cast<float>(in[i] * by[o]));
          }
        });
      }
    });
  });
  return to;
}

}  // namespace cornernet
