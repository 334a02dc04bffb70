// A convolution's weights on the CPU in the layouts that oneDNN wants for the input sizes that come.
#pragma once
#include <ATen/core/Tensor.h>

#include <array>
#include <functional>
#include <map>
#include <vector>

namespace cornernet {

/// Copies of weights that this thread has made in layouts of oneDNN's so far: a forward that makes one takes more memory than the next.
int64_t packed_layouts();

/// oneDNN names the layout that it wants for an input size, and sizes mostly agree on one: packing tells, once a size. Weights of another layout
/// still give the right result, but cost up to 70 ms a call; packing anew whenever the size changes doubles a forward's time.
class PackedWeights {
 public:
  PackedWeights() = default;
  explicit PackedWeights(at::Tensor dense) : dense_(std::move(dense)) {}

  /// As they were given; undefined once they are packed.
  const at::Tensor& dense() const { return dense_; }
  /// pack(dense, size) makes the copy for an input's size [N, C, H, W].
  const at::Tensor& for_input(at::IntArrayRef size, const std::function<at::Tensor(const at::Tensor&, at::IntArrayRef)>& pack);

 private:
  at::Tensor dense_;
  std::vector<at::Tensor> packed_;
  std::map<std::array<int64_t, 4>, size_t> layout_of_;  // indices of packed_
};

}  // namespace cornernet
