// A pickle in an archive with storages that are whole: the tensors it describes lie within their storages, to the last element, and what it says of
// an int8 network is read or refused.
#include "checkpoint/checkpoint.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>

#include "engine/quantization.h"
#include "fuzz.h"
#include "zip_writer.h"

using namespace cornernet;

namespace {

/// A file without a name, which goes with its descriptor.
class Scratch {
 public:
  explicit Scratch(const std::string& content) : fd_(memfd_create("checkpoint", MFD_CLOEXEC)) {
    if (fd_ < 0 || write(fd_, content.data(), content.size()) != static_cast<ssize_t>(content.size())) std::abort();
  }
  ~Scratch() { close(fd_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_;
};

/// The sum of the first and last bytes that it reaches: reading them is what matters.
unsigned touch(const at::Tensor& tensor) {
  if (tensor.numel() == 0) return 0;
  const auto* first = static_cast<const volatile uint8_t*>(tensor.const_data_ptr());
  int64_t last = 0;
  for (int64_t i = 0; i < tensor.dim(); ++i) last += (tensor.size(i) - 1) * tensor.stride(i);
  return *first + first[(last + 1) * static_cast<int64_t>(tensor.element_size()) - 1];
}

}  // namespace

FUZZ_TARGET(checkpoint) {
  const std::string pickled = fuzz::text_of(input);
  const std::string storage(64, '\x01');
  std::string scales;  // 16 times 0.5 in fp32
  for (int i = 0; i < 16; ++i) scales += std::string("\0\0\0\x3f", 4);
  const Scratch file(
      fuzz::zip_of({{"a/data.pkl", pickled}, {"a/byteorder", "little"}, {"a/data/0", storage}, {"a/data/1", scales}, {"a/version", "3\n"}}));
  for (const auto& [name, tensor] : load_checkpoint(file.path()).tensors) touch(tensor);
  CheckpointFile opened(file.path());
  const Int8Layers layers =
      read_quantization({{"conv", 2}, {"sum", 0}}, opened.take_quantization(), [&](const at::Tensor& placed) { return opened.read(placed); });
  for (const auto& [name, layer] : layers) {
    if (layer.weight_scale.defined()) touch(layer.weight_scale);
  }
}
