// The kernels' copies for narrower vectors than this CPU's.
#include "op_cases.h"
#include "ops/corner_pool.h"
#include "ops/cpu/widest_vectors.h"
#include "ops/upsample_add.h"
#include "test.h"

using namespace cornernet;
using namespace cornernet::testing;
using cpu::VectorLevel;

namespace {

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
        cpu::vector_level() = level;
        const std::vector<at::Tensor> got = results_of(type, format);
        cpu::vector_level() = best;
        for (size_t i = 0; i < got.size(); ++i) check_same(got[i], expected[i], std::string(c10::toString(type)) + " result " + std::to_string(i));
      }
    }
  }
});

}  // namespace
