// The kernel that makes the network's input, and its launcher.
#include "ops/cuda/context.cuh"
#include "ops/cuda/image_body.cuh"
#include "ops/cuda/image_kernel.h"
#include "ops/cuda/launch.cuh"

namespace cornernet::cuda {

template <Scalar kScalar, typename Raw = typename Element<kScalar>::Raw>
__global__ void __launch_bounds__(kImageThreads) fill_pixel_kernel(const PictureJob* pictures, const LevelTable* table, InputView view, Raw* input) {
  DeviceContext context;
  fill_pixel<kScalar>(context, pictures, table, view, input);
}

#ifdef __CUDACC_RTC__  // which compiles only what is instantiated
template __global__ void fill_pixel_kernel<Scalar::Float32>(const PictureJob*, const LevelTable*, InputView, float*);
template __global__ void fill_pixel_kernel<Scalar::Float16>(const PictureJob*, const LevelTable*, InputView, uint16_t*);
template __global__ void fill_pixel_kernel<Scalar::BFloat16>(const PictureJob*, const LevelTable*, InputView, uint16_t*);
#else
LaunchStatus make_input(const PictureJob* pictures, const LevelTable* table, const InputView& view, void* input, Scalar scalar, void* stream) {
  return with_scalar(scalar, [&](auto tag) {
    using Raw = typename Element<decltype(tag)::kScalar>::Raw;
    const int64_t pixels = int64_t{1} * view.views * view.width_px * view.height_px;
    const auto blocks = static_cast<unsigned>(ceil_div(pixels, kImageThreads));
    fill_pixel_kernel<decltype(tag)::kScalar>
        <<<blocks, kImageThreads, 0, static_cast<cudaStream_t>(stream)>>>(pictures, table, view, static_cast<Raw*>(input));
    return launched();
  });
}
#endif

}  // namespace cornernet::cuda
