// Convolutions without a fused kernel, and what remembers that there is none.
#include "ops/conv.h"

#include <ATen/ops/add.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/relu.h>

#include "engine/guarded.h"
#include "op_cases.h"
#include "test.h"

using namespace cornernet;
using namespace cornernet::testing;

namespace {

#ifdef __aarch64__
constexpr double kRoundings = 46;
#else
constexpr double kRoundings = 3;
#endif

at::Tensor drawn(at::IntArrayRef sizes, unsigned seed) { return make_values(sizes, Content::Random, seed); }

const Registration plain("conv: operator by operator the same comes out, in fp16 too", [] {
  for (const int64_t kernel : {1, 3}) {
    for (const int64_t stride : {1, 2}) {
      const at::Tensor weight = drawn({8, 5, kernel, kernel}, 1).mul(0.1), bias = drawn({8}, 2);
      const at::Tensor x = drawn({2, 5, 9, 11}, 3);
      const PackedConv conv(weight, bias, stride, at::kHalf, at::kCPU);
      const auto exact = [](const at::Tensor& of) { return of.to(at::kHalf).to(at::kDouble); };
      const at::Tensor y = at::conv2d(exact(x), exact(weight), exact(bias), stride, kernel / 2);
      const at::Tensor residual = drawn(y.sizes(), 4);
      const at::Tensor half = x.to(at::kHalf).contiguous(at::MemoryFormat::ChannelsLast);
      const at::Tensor added = residual.to(at::kHalf).contiguous(at::MemoryFormat::ChannelsLast);
      const auto near = [&](const at::Tensor& got, const at::Tensor& wanted, const char* what) {
        check(got.scalar_type() == at::kHalf && got.sizes() == wanted.sizes(), what, ": ", got.sizes());
        // fp16 rounds to 2^-11: the sum of up to 45 products, and once more after the residual; on ARM64 LibTorch adds these up in fp16, one by one.
        const double worst = got.to(at::kDouble).sub(wanted).abs().div(wanted.abs().add(1)).max().item<double>();
        check(worst < kRoundings / 2048, what, " of ", kernel, " by ", stride, " is off by ", worst);
      };
      near(conv.forward(half, false), y, "a convolution");
      near(conv.forward(half, true), at::relu(y), "one with a ReLU");
      near(conv.forward_add_relu(half, added), at::relu(at::add(y, exact(residual))), "one with a residual");
      near(conv.forward_add_relu(half, added.clone(), /*over=*/true), at::relu(at::add(y, exact(residual))), "one over its residual");
    }
  }
});

const Registration remembered("conv: a layer without a fused kernel asks for one once; other failures pass", [] {
  FusedOrPlain way;
  int asked = 0;
  const auto lacking = [&]() -> int {
    ++asked;
    TORCH_CHECK(false, "GET was unable to find an engine to execute this computation");
  };
  const auto failing = []() -> int { TORCH_CHECK(false, "CUDA out of memory. Tried to allocate 2.00 GiB"); };
  const auto fails = [](auto body) {
    try {
      body();
    } catch (const c10::Error&) {
      return true;
    }
    return false;
  };
  // Where not even the plain way works, it is workspace that lacks: nothing is learnt, and the error counts as memory's.
  check(fails([&] { way.run(lacking, lacking); }) && asked == 2, asked, " calls");
  refused(ErrorCode::OutOfMemory, [&] { guarded([&] { return way.run(lacking, lacking); }); });
  asked = 0;
  for (int i = 0; i < 3; ++i) check(way.run(lacking, [] { return 5; }) == 5, "the plain way was not taken");
  check(asked == 1, "the fused kernel was asked for ", asked, " times");
  const FusedOrPlain other;
  check(fails([&] { other.run(failing, [] { return 5; }); }), "memory that lacks was taken for a kernel that lacks");
  check(other.run([] { return 7; }, [] { return 5; }) == 7, "a failure of memory was remembered");
});

const Registration addends("conv: what a fused kernel multiplies by zero is memory that was written", [] {
  const at::Tensor x = drawn({2, 8, 6, 5}, 1).contiguous(at::MemoryFormat::ChannelsLast);
  const auto same = finite_addend(x, {2, 8, 6, 5}), smaller = finite_addend(x, {2, 16, 3, 3});
  check(same && same->equal(x) && same->data_ptr() == x.data_ptr(), "the input is not its own addend");
  check(smaller && smaller->is_contiguous(at::MemoryFormat::ChannelsLast) && smaller->data_ptr() == x.data_ptr(), "a smaller map is not seen in it");
  check(!finite_addend(x, {2, 128, 3, 3}), "a larger map is seen in a smaller one");
});

const Registration meanings("errors: LibTorch's words are told apart in one place", [] {
  const auto code_of = [](const std::string& what) { return error_of(what).code(); };
  check(code_of("CUDA out of memory. Tried to allocate 20.00 MiB") == ErrorCode::OutOfMemory, "CUDA's memory");
  check(code_of("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`") == ErrorCode::OutOfMemory, "cuBLAS' memory");
  check(code_of("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`") == ErrorCode::OutOfMemory, "cuBLAS' handle");
  check(code_of("cuDNN error: CUDNN_STATUS_ALLOC_FAILED") == ErrorCode::OutOfMemory, "cuDNN's memory");
  check(code_of("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED") == ErrorCode::OutOfMemory, "cuDNN 9's memory");
  check(code_of("[enforce fail] DefaultCPUAllocator: can't allocate memory") == ErrorCode::OutOfMemory, "the CPU's memory");
  check(code_of("could not create a primitive") == ErrorCode::OutOfMemory, "oneDNN's memory");
  check(code_of("could not create a primitive descriptor for a convolution") == ErrorCode::Internal, "what oneDNN can't compute");
  check(code_of("FIND was unable to find an engine to execute this computation") == ErrorCode::OutOfMemory, "workspace");
  check(code_of("CUDA error: an illegal memory access was encountered") == ErrorCode::Device, "a kernel that trapped");
  check(code_of("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED") == ErrorCode::Device, "cuDNN");
  check(code_of("expected scalar type Half but found Float") == ErrorCode::Internal, "anything else");
});

}  // namespace
