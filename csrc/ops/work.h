// What one operator call has to do: its shape, and the operations and bytes that follow from it.
#pragma once
#include <cstdint>
#include <string>

namespace cornernet {

struct Work {
  std::string op;  // "conv", "pool_pair", "upsample_add"
  int64_t n = 1, in_channels = 0, out_channels = 0;
  int64_t height = 0, width = 0;  // of the input; of the result for upsample_add
  int64_t kernel = 1, stride = 1;
  bool relu = false, residual = false;
  double flops = 0;   // additions, multiplications and comparisons, each counted as one
  double bytes = 0;   // every input read once, the result written once
  std::string layer;  // the name of what it makes, of a prepared network
  bool int8 = false;  // whether what it reads has 8 bits
};

}  // namespace cornernet
