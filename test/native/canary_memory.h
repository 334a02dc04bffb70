// Memory for kernel bodies that run on the CPU: aligned as a GPU's, between margins whose reading or writing shows.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "ops/cuda/element.h"
#include "test.h"

namespace cornernet::testing {

template <cuda::Scalar kScalar>
constexpr at::ScalarType torch_type() {
  return kScalar == cuda::Scalar::Float32 ? at::kFloat : kScalar == cuda::Scalar::Float16 ? at::kHalf : at::kBFloat16;
}

/// Registers `body.operator()<scalar>()` for every element type of the kernels.
struct OnEveryScalar {
  template <typename Body>
  OnEveryScalar(const std::string& name, Body body) {
    registry().push_back({name + " (fp32)", [body] { body.template operator()<cuda::Scalar::Float32>(); }});
    registry().push_back({name + " (fp16)", [body] { body.template operator()<cuda::Scalar::Float16>(); }});
    registry().push_back({name + " (bf16)", [body] { body.template operator()<cuda::Scalar::BFloat16>(); }});
  }
};

/// A copy of a dense tensor's memory, at a 16-byte boundary. The margins are NaN in every type.
template <cuda::Scalar kScalar>
class CanaryMemory {
 public:
  using Raw = typename cuda::Element<kScalar>::Raw;

  explicit CanaryMemory(const at::Tensor& like) : like_(like), blocks_((like.numel() + 3 * kMargin) * sizeof(Raw) / 16 + 1) {
    std::memset(blocks_.data(), 0xff, blocks_.size() * 16);
    std::memcpy(data(), like.const_data_ptr(), like.numel() * sizeof(Raw));
  }
  Raw* data() { return reinterpret_cast<Raw*>(blocks_.data()) + kMargin; }

  /// The memory as a tensor of the original's layout; fails when a margin was written.
  at::Tensor tensor(const std::string& what) {
    const auto* const bytes = reinterpret_cast<const unsigned char*>(blocks_.data());
    const auto* const begin = reinterpret_cast<const unsigned char*>(data());
    const auto* const end = reinterpret_cast<const unsigned char*>(data() + like_.numel());
    for (const unsigned char* at = bytes; at < bytes + blocks_.size() * 16; ++at) {
      if (at < begin || at >= end) check(*at == 0xff, what, ": wrote ", at < begin ? begin - at : at - end, " bytes outside");
    }
    at::Tensor copy = like_.clone();
    std::memcpy(copy.mutable_data_ptr(), begin, copy.numel() * sizeof(Raw));
    return copy;
  }

 private:
  static constexpr int64_t kMargin = 64;
  struct alignas(16) Block {
    unsigned char bytes[16];
  };
  at::Tensor like_;
  std::vector<Block> blocks_;
};

}  // namespace cornernet::testing
