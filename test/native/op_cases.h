// Inputs that the operators' tests share: shapes, layouts, element types and contents, and comparing without slack.
#pragma once
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "engine/device.h"
#include "runtime/error.h"
#include "test.h"

namespace cornernet::testing {

enum class Content { Random, Ties, Constant, Nan, Infinite };

inline const char* name_of(Content content) {
  constexpr const char* kNames[] = {"random", "ties", "constant", "NaN", "infinite"};
  return kNames[static_cast<int>(content)];
}

constexpr Content kContents[] = {Content::Random, Content::Ties, Content::Constant, Content::Nan, Content::Infinite};

/// fp32 values in [N, C, H, W] order; the same for the same seed.
inline at::Tensor make_values(at::IntArrayRef shape, Content content, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> real(-3.f, 3.f);
  at::Tensor x = at::empty(shape, at::kFloat);
  float* const values = x.data_ptr<float>();
  for (int64_t i = 0; i < x.numel(); ++i) {
    const unsigned draw = random() % 16;
    values[i] = content == Content::Constant ? 1.5f : content == Content::Ties ? static_cast<float>(random() % 5) - 2.f : real(random);
    if (content == Content::Nan && draw == 0) values[i] = std::numeric_limits<float>::quiet_NaN();
    if (content == Content::Infinite && draw < 4) values[i] = (draw == 0 ? 1.f : -1.f) * std::numeric_limits<float>::infinity();
  }
  return x;
}

/// Fails unless both hold the same values at the same places, NaN counting as equal to NaN.
inline void check_same(const at::Tensor& got, const at::Tensor& expected, const std::string& what) {
  check(got.sizes() == expected.sizes(), what, ": shape ", got.sizes(), " instead of ", expected.sizes());
  check(got.scalar_type() == expected.scalar_type(), what, ": dtype ", got.scalar_type(), " instead of ", expected.scalar_type());
  const at::Tensor a = got.cpu().contiguous().to(at::kDouble), b = expected.cpu().contiguous().to(at::kDouble);
  const double *pa = a.const_data_ptr<double>(), *pb = b.const_data_ptr<double>();
  for (int64_t i = 0; i < a.numel(); ++i) {
    check(pa[i] == pb[i] || (std::isnan(pa[i]) && std::isnan(pb[i])), what, ": element ", i, " is ", pa[i], " instead of ", pb[i]);
  }
}

/// The one place where native tests learn whether there is a GPU: what the engine itself would say of 'cuda'.
inline void skip_without_gpu() {
  if (cuda_device_count() == 0) skip("no CUDA device");
  if (const std::string obstacle = cuda_device(0).obstacle; !obstacle.empty()) skip(obstacle);
}

/// Where a CPU's sums of 8-bit products saturate.
inline void skip_without_int8() {
  if (!computes_int8(at::kCPU)) skip("this CPU has neither VNNI nor AMX");
}

/// Registers `body(device)` for the CPU and for the GPU, where it skips without one.
struct OnEveryDevice {
  OnEveryDevice(const std::string& name, std::function<void(at::Device)> body) {
    registry().push_back({name + " (CPU)", [body] { body(at::kCPU); }});
    registry().push_back({name + " (GPU)", [body] {
                            skip_without_gpu();
                            body(at::Device(at::kCUDA, 0));
                          }});
  }
};

/// at::set_num_threads until the end of a scope.
class Threads {
 public:
  explicit Threads(int count) : before_(at::get_num_threads()) { at::set_num_threads(count); }
  ~Threads() { at::set_num_threads(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  int before_;
};

inline std::vector<at::ScalarType> types_on(at::Device device) {
  if (device.is_cuda()) return {at::kFloat, at::kHalf, at::kBFloat16};
  return {at::kFloat, at::kHalf, at::kBFloat16, at::kDouble};
}

/// What the network can compute in on `device`.
inline std::vector<at::ScalarType> precisions_on(at::Device device) {
  std::vector<at::ScalarType> types;
  for (const char* const name : {"fp32", "fp16", "bf16"}) {
    try {
      types.push_back(resolve_precision(name, device));
    } catch (const Error&) {  // not on this device
    }
  }
  return types;
}

}  // namespace cornernet::testing
