// Watching what a computation allocates, and what a detector does when its GPU's memory is nearly all taken.
#include "engine/device_memory.h"

#include <ATen/DeviceAccelerator.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/sum.h>

#include <random>

#include "engine/detector.h"
#include "op_cases.h"
#include "test.h"

using namespace cornernet;
using namespace cornernet::testing;

namespace {

constexpr int64_t kGigabyte = 1'000'000'000, kMegabyte = 1 << 20;

at::Tensor bytes(int64_t megabytes) { return at::empty({megabytes * kMegabyte}, at::TensorOptions(at::kByte)); }

Picture draw(int side_px, unsigned seed) {
  std::mt19937 random(seed);
  Picture picture{RecycledBytes(size_t{3} * side_px * side_px), side_px, side_px};
  for (uint8_t& byte : picture.rgb) byte = static_cast<uint8_t>(random());
  return picture;
}

/// Takes all of the GPU's memory but `left` bytes, until the end of a scope; then other processes may have it.
class Occupied {
 public:
  explicit Occupied(int64_t left) {
    at::accelerator::emptyCache();  // a cached block could not be had in one piece
    const at::Device gpu(at::kCUDA, 0);
    const int64_t free = available_bytes(runtime_of(gpu).get()) / 9 * 10;  // which counts nine tenths of it
    if (free > left) taken_ = at::empty({free - left}, at::TensorOptions(at::kByte).device(gpu));
  }
  ~Occupied() {
    taken_.reset();
    at::accelerator::emptyCache();
  }
  Occupied(const Occupied&) = delete;
  Occupied& operator=(const Occupied&) = delete;

 private:
  at::Tensor taken_;
};

const Registration peak("engine: the peak of a computation's memory is what was held at a time, above what was there before", [] {
  ActivationMemory activations;
  const ActivationMemory::Use use(activations);
  const at::Tensor before = bytes(16);
  const PeakMemory memory(nullptr, activations);
  check(memory.bytes() == 0, "nothing was allocated yet");
  {
    const at::Tensor a = bytes(3), b = bytes(2);
  }
  const at::Tensor c = bytes(4);
  check(memory.bytes() == 5 * kMegabyte, "the peak is ", memory.bytes());
});

const Registration reused("engine: activations' memory is used again, and may outlive its use and its owner", [] {
  at::Tensor kept;
  {
    ActivationMemory activations;
    const ActivationMemory::Use use(activations);
    const void* const first = bytes(8).data_ptr();
    check(bytes(7).data_ptr() == first, "idle memory was not used again");
    {
      const at::Tensor two = bytes(2), six = bytes(6);
      check(two.data_ptr() == first && six.data_ptr() == two.mutable_data_ptr<uint8_t>() + two.nbytes(), "8 MB do not serve 2 and 6");
    }
    for (int i = 0; i < 100; ++i) bytes(100 + i);  // more than is kept idle
    kept = bytes(8);
    kept.fill_(1);
  }
  check(kept.sum().item<int64_t>() == 8 * kMegabyte, "what was kept is gone");
});

const Registration scarce("engine: views that do not fit on the GPU together run in parts, and one that does not fit alone is refused (GPU)", [] {
  skip_without_gpu();
  LoadOptions load;
  load.path = std::string(CORNERNET_FIXTURES) + "/../../weights/digits.pth";  // which finds something in noise too
  load.device = "cuda";
  load.precision = "fp32";
  load.cuda_graphs = false;  // a recording has its memory already
  Detector detector(load);
  std::vector<Picture> pictures;
  for (unsigned seed = 0; seed < 8; ++seed) pictures.push_back(draw(767, seed));
  const DetectOptions options;
  const auto forwards_of = [&](auto&& detect) {
    const int64_t before = detector.stats().forwards;
    detect();
    return detector.stats().forwards - before;
  };
  // A size that is new begins picture by picture (forward_policy.h).
  CandidateLists whole, parts;
  int64_t shared = 0;
  for (int call = 0; call < 32 && shared != 1; ++call) shared = forwards_of([&] { whole = detector.start(pictures, options)().detections; });
  check(shared == 1, "16 views do not share a forward on an empty GPU but take ", shared);

  // Less and less is left until the views no longer fit together.
  for (int64_t left = 4 * kGigabyte, forwards = 1; forwards == 1; left = left * 7 / 10) {
    check(left > kGigabyte / 100, "16 views run together in ", left, " bytes");
    const Occupied occupied(left);
    forwards = forwards_of([&] { parts = detector.start(pictures, options)().detections; });
    if (forwards == 1) continue;
    // The views together have 16 times the pixels of one of theirs, this picture's plain view alone has 25 times as many.
    const std::string sentence = refused(ErrorCode::OutOfMemory, [&] { detector.start({draw(3839, 1)}, options); });
    check(contains(sentence, "3839x3839 pixels needs about") && contains(sentence, "cuda:0"), sentence);
  }
  check(parts.size() == whole.size(), parts.size(), " lists of detections");
  for (size_t i = 0; i < parts.size(); ++i) {
    check(!parts[i].empty() && !whole[i].empty(), "nothing was found in picture ", i);
    // As test/parity/reference.ts allows for other orders of summation in fp32.
    check(std::abs(parts[i][0].score - whole[i][0].score) < 2e-4f, "picture ", i, " has another best score: ", parts[i][0].score, " instead of ",
          whole[i][0].score);
  }
  check(forwards_of([&] { detector.start(pictures, options)(); }) == 1, "the views do not share a forward again");
});

}  // namespace
