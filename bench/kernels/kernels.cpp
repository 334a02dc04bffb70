// bench_kernels [--device cpu|cuda] [--threads N] [--rounds N] [--json FILE]: each operator over the network's real shapes, verified against its
// naive twin, then timed against the ATen composition that it replaces and against a copy of as many bytes.
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/add.h>
#include <ATen/ops/cummax.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/flip.h>
#include <ATen/ops/upsample_nearest2d.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>

#include "naive_pool.h"
#include "op_cases.h"
#include "ops/corner_pool.h"
#include "ops/upsample_add.h"
#include "timing.h"

#ifdef CORNERNET_CUDA
#include <c10/cuda/CUDAFunctions.h>
#endif

using namespace cornernet;
using cornernet::bench::Candidate;
using cornernet::testing::check_same;

namespace {

struct Options {
  at::Device device = at::kCPU;
  int threads = 0, rounds = 15;
  std::string json;
};

struct Shape {
  int64_t n, c, h, w;
  std::string text() const { return std::to_string(n) + "x" + std::to_string(c) + "x" + std::to_string(h) + "x" + std::to_string(w); }
};

struct Result {
  std::string op, shape, dtype, layout;
  double bytes, ours, aten, copy;  // of one call: bytes that must move, seconds
};

at::Tensor pooled(const at::Tensor& x, Direction direction) {
  const int64_t axis = direction == Direction::Top || direction == Direction::Bottom ? 2 : 3;
  if (direction == Direction::Bottom || direction == Direction::Right) return std::get<0>(at::cummax(x, axis));
  return at::flip(std::get<0>(at::cummax(at::flip(x, {axis}), axis)), {axis});
}

void settle(at::Device device) {
#ifdef CORNERNET_CUDA
  if (device.is_cuda()) c10::cuda::device_synchronize();
#else
  (void)device;
#endif
}

class Bench {
 public:
  explicit Bench(const Options& options) : options_(options) {}

  at::Tensor input(const Shape& s, at::ScalarType type, at::MemoryFormat format, unsigned seed) const {
    return testing::make_values({s.n, s.c, s.h, s.w}, testing::Content::Random, seed).to(options_.device, type).contiguous(format);
  }

  /// `inputs` are read once and the result written once: what a copy of half as many bytes moves too.
  void time(const std::string& op, const Shape& shape, const at::Tensor& like, double bytes, std::function<void()> ours, std::function<void()> aten) {
    const at::Tensor from = at::empty({static_cast<int64_t>(bytes / 2)}, like.options().dtype(at::kByte)), to = at::empty_like(from);
    to.copy_(from);
    std::vector<Candidate> candidates{{"ours", std::move(ours), {}}, {"aten", std::move(aten), {}}, {"copy", [from, to] { to.copy_(from); }, {}}};
    bench::time_interleaved(candidates, options_.rounds, 0.01, [this] { settle(options_.device); });
    results_.push_back({op, shape.text(), c10::toString(like.scalar_type()), like.is_contiguous() ? "NCHW" : "NHWC", bytes, candidates[0].median(),
                        candidates[1].median(), candidates[2].median()});
    print(results_.back());
  }

  static void print_header() {
    std::printf("%-10s %-16s %-9s %-5s %9s %9s %9s %8s %8s %8s\n", "op", "shape", "dtype", "", "ours us", "ATen us", "copy us", "vs ATen", "GB/s",
                "of copy");
  }

  const std::vector<Result>& results() const { return results_; }

 private:
  static void print(const Result& r) {
    std::printf("%-10s %-16s %-9s %-5s %9.1f %9.1f %9.1f %7.1fx %8.1f %7.0f%%\n", r.op.c_str(), r.shape.c_str(), r.dtype.c_str(), r.layout.c_str(),
                r.ours * 1e6, r.aten * 1e6, r.copy * 1e6, r.aten / r.ours, r.bytes / r.ours / 1e9, 100 * r.copy / r.ours);
    std::fflush(stdout);
  }

  Options options_;
  std::vector<Result> results_;
};

/// Every sixteenth channel: the naive twin takes quadratic time.
at::Tensor sample(const at::Tensor& x) { return x.slice(1, 0, x.size(1), 16); }

void bench_pools(Bench& bench, const Shape& shape, at::ScalarType type, at::MemoryFormat format) {
  const at::Tensor a = bench.input(shape, type, format, 1), b = bench.input(shape, type, format, 2);
  const auto bytes = static_cast<double>(a.nbytes());
  for (const Direction direction : {Direction::Top, Direction::Right}) {
    check_same(sample(corner_pool(a, direction)), testing::naive_pool(sample(a), direction), testing::name_of(direction));
    bench.time(
        testing::name_of(direction), shape, a, 2 * bytes, [=] { corner_pool(a, direction); }, [=] { pooled(a, direction); });
  }
  const auto pair = [=] { return corner_pool_pair(a, Direction::Top, b, Direction::Left); };
  check_same(sample(pair()), testing::naive_pair(sample(a), Direction::Top, sample(b), Direction::Left), "pair");
  bench.time("pair", shape, a, 3 * bytes, pair, [=] { at::add(pooled(a, Direction::Top), pooled(b, Direction::Left)); });
}

void bench_upsample(Bench& bench, const Shape& low_shape, const Shape& shape, at::ScalarType type, at::MemoryFormat format) {
  const at::Tensor low = bench.input(low_shape, type, format, 3), skip = bench.input(shape, type, format, 4);
  const auto aten = [=] { return at::add(skip, at::upsample_nearest2d(low, {shape.h, shape.w})); };
  check_same(upsample_nearest_add(low, skip), aten(), "upsample");
  bench.time(
      "upsample", shape, skip, static_cast<double>(low.nbytes() + 2 * skip.nbytes()), [=] { upsample_nearest_add(low, skip); }, aten);
}

void write_json(const std::string& path, const Options& options, const std::vector<Result>& results) {
  std::ofstream out(path);
  out << "{\"device\": \"" << options.device.str() << "\", \"threads\": " << at::get_num_threads() << ", \"rounds\": " << options.rounds
      << ", \"seconds\": \"median of a call, back to back\", \"results\": [";
  for (size_t i = 0; i < results.size(); ++i) {
    const Result& r = results[i];
    out << (i == 0 ? "\n" : ",\n") << "  {\"op\": \"" << r.op << "\", \"shape\": \"" << r.shape << "\", \"dtype\": \"" << r.dtype
        << "\", \"layout\": \"" << r.layout << "\", \"bytes\": " << r.bytes << ", \"ours\": " << r.ours << ", \"aten\": " << r.aten
        << ", \"copy\": " << r.copy << "}";
  }
  out << "\n]}\n";
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    if (name == "--device") options.device = at::Device(argv[i + 1]);
    if (name == "--threads") options.threads = std::atoi(argv[i + 1]);
    if (name == "--rounds") options.rounds = std::max(1, std::atoi(argv[i + 1]));
    if (name == "--json") options.json = argv[i + 1];
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Options options = parse(argc, argv);
    if (options.threads > 0) at::set_num_threads(options.threads);
    const at::NoGradGuard no_grad;
    Bench bench(options);
    std::printf("%s, %d threads, median of %d interleaved rounds\n", options.device.str().c_str(), at::get_num_threads(), options.rounds);
    Bench::print_header();
    const int64_t n = options.device.is_cuda() ? 16 : 1;
    const at::ScalarType narrow = options.device.is_cuda() ? at::kHalf : at::kBFloat16;
    for (const at::ScalarType type : {at::kFloat, narrow}) {
      // Padded pictures of 511x511, 511x767 and 767x767 pixels.
      for (const Shape& shape : {Shape{n, 128, 128, 128}, Shape{n, 128, 128, 192}, Shape{n, 128, 192, 192}}) {
        bench_pools(bench, shape, type, at::MemoryFormat::ChannelsLast);
      }
      bench_pools(bench, Shape{n, 128, 128, 128}, type, at::MemoryFormat::Contiguous);
      bench_upsample(bench, Shape{n, 256, 64, 64}, Shape{n, 256, 128, 128}, type, at::MemoryFormat::ChannelsLast);
      bench_upsample(bench, Shape{n, 384, 16, 16}, Shape{n, 384, 32, 32}, type, at::MemoryFormat::ChannelsLast);
    }
    if (!options.json.empty()) write_json(options.json, options, bench.results());
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
  return 0;
}
