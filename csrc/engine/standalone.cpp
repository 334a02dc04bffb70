// The facade's functions that need no network: what the build offers, and corner pooling by itself.
#include <ATen/ops/from_blob.h>
#include <torch/headeronly/version.h>

#include <algorithm>
#include <limits>
#include <map>

#include "engine/detector.h"
#include "engine/device.h"
#include "engine/guarded.h"
#include "ops/corner_pool.h"
#include "runtime/error.h"
#include "runtime/machine.h"

namespace cornernet {

BuildInfo build_info() {
  BuildInfo info;
  info.libtorch_version = TORCH_VERSION;
  info.cuda = built_with_cuda();
  info.cuda_version = cuda_version();
  info.cpu_features = cpu_features();
  info.cores = usable_cores();
  return info;
}

GpuInfo gpu_info() {
  GpuInfo info;
  for (int i = 0; i < cuda_device_count(); ++i) info.devices.push_back(cuda_device(i));
  if (!info.devices.empty()) info.cudnn_version = cudnn_version();
  return info;
}

std::vector<float> corner_pool_f32(const std::vector<float>& data, const std::vector<int64_t>& shape, const std::string& direction,
                                   const std::string& device) {
  static const std::map<std::string, Direction> kDirections{
      {"top", Direction::Top}, {"bottom", Direction::Bottom}, {"left", Direction::Left}, {"right", Direction::Right}};
  const auto found = kDirections.find(direction);
  if (found == kDirections.end()) throw Error(ErrorCode::Option, "direction must be 'top', 'bottom', 'left' or 'right', not '" + direction + "'");
  if (shape.size() < 2) throw Error(ErrorCode::Input, "corner pooling needs a shape of at least [height, width]");
  int64_t elements = 1;
  for (const int64_t side : shape) {
    if (side < 0 || (side > 0 && elements > std::numeric_limits<int64_t>::max() / side))
      throw Error(ErrorCode::Input, "a side of the shape is negative or too large");
    elements *= side;
  }
  if (elements != static_cast<int64_t>(data.size())) {
    throw Error(ErrorCode::Input, "the shape has " + std::to_string(elements) + " elements, the data " + std::to_string(data.size()));
  }
  if (data.empty()) return {};
  const int64_t height = shape[shape.size() - 2], width = shape.back();
  return guarded([&] {
    // The kernels only read what they are given.
    const at::Tensor x = at::from_blob(const_cast<float*>(data.data()), {elements / (height * width), 1, height, width});
    const at::Tensor pooled = corner_pool(x.to(resolve_device(device)), found->second).cpu().contiguous();
    return std::vector<float>(pooled.const_data_ptr<float>(), pooled.const_data_ptr<float>() + elements);
  });
}

}  // namespace cornernet
