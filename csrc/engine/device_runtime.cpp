#include "engine/device_runtime.h"

namespace cornernet {

std::byte* GrowingMemory::at_least(size_t bytes, const DeviceStream& stream) {
  if (bytes > bytes_) {
    memory_ = {};  // both at a time could be too much
    bytes_ = 0;
    const size_t rounded = (bytes + (bytes >> 2) + 511) / 512 * 512;  // for the next, somewhat larger one
    if (kind_ == Kind::Pinned) {
      memory_ = {runtime_, runtime_->allocate_pinned(rounded), &DeviceRuntime::free_pinned};
    } else {
      memory_ = {runtime_, runtime_->allocate(rounded, stream.get()), &DeviceRuntime::free};
    }
    bytes_ = rounded;
  }
  return get();
}

}  // namespace cornernet
