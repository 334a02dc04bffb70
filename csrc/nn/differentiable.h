// The operators of our own as the network calls them: fused at inference, and with their gradients where autograd records.
#pragma once
#include <ATen/core/Tensor.h>

#include "ops/corner_pool.h"

namespace cornernet {

/// corner_pool(a, direction_a) + corner_pool(b, direction_b).
at::Tensor pool_and_add(const at::Tensor& a, Direction direction_a, const at::Tensor& b, Direction direction_b);
/// skip + nearest(low, size of skip).
at::Tensor upsample_and_add(const at::Tensor& low, const at::Tensor& skip);

}  // namespace cornernet
