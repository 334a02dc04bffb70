// The kernel that makes the network's input, and its launcher.
#include "ops/cuda/image_body.cuh"
#include "ops/cuda/launch.cuh"

namespace cornernet::cuda {

template <Scalar kScalar, typename Raw = typename Element<kScalar>::Raw>
__global__ void __launch_bounds__(kImageThreads) fill_pixel_kernel(const PictureJob* pictures, const LevelTable* table, InputView view, Raw* input) {
  DeviceContext context;
  fill_pixel<kScalar>(context, pictures, table, view, input);
}

LaunchStatus make_input(const PictureJob* pictures, const LevelTable* table, const InputView& view, void* input, Scalar scalar, void* stream) {
  return with_scalar(scalar, [&](auto tag) {
    using Raw = typename Element<decltype(tag)::kScalar>::Raw;
    const int64_t blocks = int64_t{1} * view.views * view.height_px * image_blocks_a_row(view);
    return start(fill_pixel_kernel<decltype(tag)::kScalar>, blocks, kImageThreads, 0, stream, pictures, table, view, static_cast<Raw*>(input));
  });
}

}  // namespace cornernet::cuda
