#include "nn/work_log.h"

#include <ATen/ops/empty.h>

#include <utility>

namespace cornernet {
namespace {

thread_local std::vector<Work>* log = nullptr;

void note(Work work) {
  if (log != nullptr) log->push_back(std::move(work));
}

double elements(const at::Tensor& x) { return static_cast<double>(x.numel()); }
double bytes(const at::Tensor& x) { return static_cast<double>(x.numel()) * static_cast<double>(x.element_size()); }

at::Tensor like(const at::Tensor& x, at::IntArrayRef sizes, const Activation& out) { return at::empty(sizes, x.options().dtype(out.noted_type(x))); }

Work shaped(const char* op, const at::Tensor& x, const Activation& out) {
  Work work;
  work.op = op;
  work.layer = out.name();
  work.int8 = in_8_bits(x);
  work.n = x.size(0);
  work.in_channels = work.out_channels = x.size(1);
  work.height = x.size(2);
  work.width = x.size(3);
  return work;
}

}  // namespace

std::vector<Work> log_work(const std::function<void()>& forward) {
  std::vector<Work> noted;
  log = &noted;
  const struct Stop {
    ~Stop() { log = nullptr; }
  } stop;
  forward();
  return noted;
}

at::Tensor noted_conv(const at::Tensor& x, const NotedConv& conv, const Activation& out) {
  const auto side = [&](int64_t size) { return (size + 2 * (conv.kernel / 2) - conv.kernel) / conv.stride + 1; };
  const at::Tensor y = like(x, {x.size(0), conv.out_channels, side(x.size(2)), side(x.size(3))}, out);
  Work work = shaped("conv", x, out);
  work.out_channels = conv.out_channels;
  work.kernel = conv.kernel;
  work.stride = conv.stride;
  work.relu = conv.relu;
  work.residual = conv.residual;
  const double weights = static_cast<double>(conv.out_channels * x.size(1) * conv.kernel * conv.kernel);
  // A product and a sum for each weight at each place, the bias's sum, and one each for the residual and the ReLU.
  work.flops = 2 * weights * elements(y) / static_cast<double>(conv.out_channels) + elements(y) * (1 + (conv.relu ? 1 : 0) + (conv.residual ? 1 : 0));
  work.bytes =
      bytes(x) + static_cast<double>(x.element_size()) * (weights + static_cast<double>(conv.out_channels)) + bytes(y) * (conv.residual ? 2 : 1);
  note(std::move(work));
  return y;
}

at::Tensor noted_pool_pair(const at::Tensor& a, const at::Tensor& b, const Activation& out) {
  const at::Tensor y = like(a, a.sizes(), out);
  Work work = shaped("pool_pair", a, out);
  work.flops = 3 * elements(a);  // two comparisons and a sum
  work.bytes = bytes(a) + bytes(b) + bytes(y);
  note(std::move(work));
  return y;
}

at::Tensor noted_upsample_add(const at::Tensor& low, const at::Tensor& skip, const Activation& out) {
  const at::Tensor y = like(skip, skip.sizes(), out);
  Work work = shaped("upsample_add", skip, out);
  work.flops = elements(skip);
  work.bytes = bytes(low) + bytes(skip) + bytes(y);
  note(std::move(work));
  return y;
}

}  // namespace cornernet
