#include "nn/work_log.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <utility>

namespace cornernet {
namespace {

thread_local std::vector<Work>* log = nullptr;

void note(Work work) {
  if (log != nullptr) log->push_back(std::move(work));
}

double elements(const at::Tensor& x) { return static_cast<double>(x.numel()); }
double element_bytes(const at::Tensor& x) { return static_cast<double>(x.element_size()); }

Work shaped(const char* op, const at::Tensor& x) {
  Work work;
  work.op = op;
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

at::Tensor noted_conv(const at::Tensor& x, int64_t out_channels, int64_t kernel, int64_t stride, bool relu, bool residual) {
  const auto side = [&](int64_t size) { return (size + 2 * (kernel / 2) - kernel) / stride + 1; };
  const at::Tensor y = at::empty({x.size(0), out_channels, side(x.size(2)), side(x.size(3))}, x.options());
  Work work = shaped("conv", x);
  work.out_channels = out_channels;
  work.kernel = kernel;
  work.stride = stride;
  work.relu = relu;
  work.residual = residual;
  const double weights = static_cast<double>(out_channels * x.size(1) * kernel * kernel);
  // A product and a sum for each weight at each place, the bias's sum, and one each for the residual and the ReLU.
  work.flops = 2 * weights * elements(y) / static_cast<double>(out_channels) + elements(y) * (1 + (relu ? 1 : 0) + (residual ? 1 : 0));
  work.bytes = element_bytes(x) * (elements(x) + weights + static_cast<double>(out_channels) + elements(y) * (residual ? 2 : 1));
  note(std::move(work));
  return y;
}

at::Tensor noted_pool_pair(const at::Tensor& a) {
  Work work = shaped("pool_pair", a);
  work.flops = 3 * elements(a);  // two comparisons and a sum
  work.bytes = 3 * elements(a) * element_bytes(a);
  note(std::move(work));
  return at::empty_like(a);
}

at::Tensor noted_upsample_add(const at::Tensor& low, const at::Tensor& skip) {
  Work work = shaped("upsample_add", skip);
  work.flops = elements(skip);
  work.bytes = (elements(low) + 2 * elements(skip)) * element_bytes(skip);
  note(std::move(work));
  return at::empty_like(skip);
}

}  // namespace cornernet
