// What the CPU's kernels stand on: the 16-bit conversions against c10's, and the kernels' copies for narrower vectors than this CPU's.
#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <cmath>
#include <random>

#include "op_cases.h"
#include "ops/corner_pool.h"
#include "ops/cpu/widest_vectors.h"
#include "ops/sixteen_bits.h"
#include "ops/upsample_add.h"
#include "test.h"

using namespace cornernet;
using namespace cornernet::testing;
using cpu::VectorLevel;

namespace {

bool same(float a, float b) { return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b) || (std::isnan(a) && std::isnan(b)); }

void check_store(uint32_t bits) {
  const float value = std::bit_cast<float>(bits);
  const c10::Half half(value), our_half(float_to_half(value), c10::Half::from_bits());
  check(same(half, our_half), value, " as fp16 is ", our_half, " instead of ", half);
  const c10::BFloat16 bfloat(value), our_bfloat(float_to_bfloat16(value), c10::BFloat16::from_bits());
  check(same(bfloat, our_bfloat), value, " as bf16 is ", our_bfloat, " instead of ", bfloat);
}

const Registration loads("cpu: every fp16 and bf16 value becomes the right fp32", [] {
  for (uint32_t i = 0; i < 65536; ++i) {
    const auto bits = static_cast<uint16_t>(i);
    check(same(half_to_float(bits), c10::Half(bits, c10::Half::from_bits())), "fp16 bits ", i);
    check(same(bfloat16_to_float(bits), c10::BFloat16(bits, c10::BFloat16::from_bits())), "bf16 bits ", i);
  }
});

const Registration stores("cpu: fp32 rounds to fp16 and bf16 as in c10", [] {
  // Every exponent and sign with the fractions around a half of the last kept bit, where rounding decides.
  for (uint32_t high = 0; high < 65536; ++high) {
    for (const uint32_t low : {0u, 1u, 0x0fffu, 0x1000u, 0x1001u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) check_store(high << 16 | low);
  }
  std::mt19937 random(1);
  for (int i = 0; i < 300000; ++i) check_store(random());
});

std::vector<at::Tensor> results_of(at::ScalarType type, at::MemoryFormat format) {
  const at::Tensor a = make_values({2, 70, 14, 12}, Content::Nan, 1).to(type).contiguous(format);
  const at::Tensor b = make_values({2, 70, 14, 12}, Content::Infinite, 2).to(type).contiguous(format);
  std::vector<at::Tensor> results{corner_pool(a, Direction::Top), corner_pool(a, Direction::Left), corner_pool_backward(b, b, Direction::Bottom),
                                  upsample_nearest_add(a.slice(2, 0, 7).contiguous(format), b)};
  for (const int count : {1, 4}) {
    const Threads threads(count);
    results.push_back(corner_pool_pair(a, Direction::Top, b, Direction::Right));
  }
  return results;
}

const Registration levels("cpu: portable, AVX2 and AVX-512 copies of a kernel give the same results", [] {
  const VectorLevel best = cpu::vector_level();
  for (const at::ScalarType type : types_on(at::kCPU)) {
    for (const at::MemoryFormat format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
      const std::vector<at::Tensor> expected = results_of(type, format);
      for (const VectorLevel level : {VectorLevel::Portable, VectorLevel::Avx2}) {
        if (level >= best) continue;
        const Meanwhile narrower(cpu::vector_level(), level);
        const std::vector<at::Tensor> got = results_of(type, format);
        for (size_t i = 0; i < got.size(); ++i) check_same(got[i], expected[i], std::string(c10::toString(type)) + " result " + std::to_string(i));
      }
    }
  }
});

}  // namespace
