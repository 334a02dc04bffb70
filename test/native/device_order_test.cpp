// The engine's way to a GPU on the stand-in: what it gives to streams is in order, whatever fails, and a mistake made on purpose is reported.
#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/add.h>
#include <ATen/ops/zeros.h>

#include <future>
#include <optional>
#include <random>

#include "engine/forward_graphs.h"
#include "engine/predictor.h"
#include "engine/side_stream.h"
#include "op_cases.h"
#include "runtime/machine.h"
#include "stand_in.h"
#include "test.h"
#include "tiny_network.h"

using namespace cornernet;
using namespace cornernet::testing;

namespace {

/// These tests run some hundred of them.
CornerNetConfig smallest_config() {
  CornerNetConfig config = tiny_config(1);
  config.backbone.stage_channels = {16, 16};
  config.backbone.stage_blocks = {1, 1};
  config.head.num_levels = 1;
  return config;
}

/// The same whichever tests ran before.
std::vector<std::pair<std::string, at::Tensor>> drawn(const CornerNetConfig& config) {
  at::manual_seed(5);
  return draw_state_dict(config);
}

/// A predictor's checkpoint and pictures, and a network for each who asks.
struct Scene {
  CornerNetConfig config = smallest_config();
  std::vector<std::pair<std::string, at::Tensor>> tensors = drawn(config);
  std::vector<std::vector<uint8_t>> bytes;
  DetectOptions options;

  Scene() {
    std::mt19937 random(5);
    for (int i = 0; i < 3; ++i) {
      auto& rgb = bytes.emplace_back(size_t{3} * 100 * 90);
      for (uint8_t& byte : rgb) byte = static_cast<uint8_t>(random());
    }
    options.decode.max_candidates = 50;
    options.decode.distance_threshold = 1e3f;  // drawn weights embed nothing near anything
  }
  std::vector<PictureView> pictures(size_t count) const {
    std::vector<PictureView> views;
    for (size_t i = 0; i < count; ++i) views.push_back({bytes[i].data(), 100, 90});
    return views;
  }
  std::unique_ptr<Predictor> load(std::shared_ptr<DeviceRuntime> runtime, CudaRules rules = {}, at::ScalarType dtype = at::kFloat) const {
    CornerNet network(config);
    std::vector<Parameter> parameters = network.parameters();
    for (size_t i = 0; i < parameters.size(); ++i) *parameters[i].slot = tensors[i].second;
    return std::make_unique<Predictor>(std::move(network), config, dtype, std::move(runtime), rules, TensorReader{});
  }
};

const Scene& scene() {
  static const Scene one;
  return one;
}

/// On a thread of its own, as results are read.
DecodedViews read_elsewhere(std::function<DecodedViews()> result) { return std::async(std::launch::async, std::move(result)).get(); }

/// A detector's life: sizes that come once, again and often, results read later, by others or never, and heads.
std::vector<DecodedViews> live(std::shared_ptr<DeviceRuntime> runtime, CudaRules rules = {}) {
  const DetectOptions& options = scene().options;
  const auto predictor = scene().load(std::move(runtime), rules);
  std::vector<DecodedViews> results;
  std::function<DecodedViews()> before;
  for (int round = 0; round < 5; ++round) {  // by itself, watched, recorded, launched
    auto result = predictor->start(scene().pictures(1), options);
    if (before) results.push_back(read_elsewhere(std::move(before)));
    before = std::move(result);
  }
  results.push_back(read_elsewhere(std::move(before)));
  predictor->start(scene().pictures(1), options);  // nobody reads it
  results.push_back(predictor->start(scene().pictures(3), options)());
  results.push_back(predictor->start(scene().pictures(2), options)());
  const HeadMaps heads = predictor->maps(scene().pictures(1)[0], options);
  results.push_back(decode_corners(heads, {ViewGeometry{1, 1, 0, 0}}, options.decode));
  return results;
}

std::string first_of(const std::vector<std::string>& faults) { return faults.empty() ? "nothing" : faults[0]; }

void check_clean(StandIn& device, const std::string& when) {
  check(device.faults().empty(), when, ": ", first_of(device.faults()), ", and ", device.faults().size() - 1, " others");
}

bool reported(StandIn& device, const std::string& part) {
  return std::ranges::any_of(device.faults(), [&](const std::string& fault) { return contains(fault, part); });
}

bool same(const DecodedViews& a, const DecodedViews& b) {
  const auto numbers = [](const Candidate& c) { return std::tuple(c.x1, c.y1, c.x2, c.y2, c.score, c.class_id); };
  return std::ranges::equal(a, b, [&](const Decoded& one, const Decoded& other) {
    return one.finite == other.finite && std::ranges::equal(one.candidates, other.candidates, {}, numbers, numbers);
  });
}

/// Teams of threads for networks this small would mostly wait.
struct OnOneThread {
  OnOneThread(const std::string& name, std::function<void()> body) {
    registry().push_back({name, [body] {
                            const Threads one(1);
                            body();
                          }});
  }
};

const OnOneThread ordered("device: the engine's calls to a GPU are in order, leave nothing behind, and give what the CPU gives", [] {
  const std::vector<DecodedViews> expected = live(nullptr);
  for (const bool graphs : {true, false}) {
    const auto device = std::make_shared<StandIn>();
    const std::vector<DecodedViews> got = live(device, {.graphs = graphs});
    check_clean(*device, "while it lived");
    device->check_that_all_is_freed();
    check_clean(*device, "in the end");
    check((device->launches() > 0) == graphs, device->launches(), " recordings were launched");
    check(got.size() == expected.size() && !expected[0][0].candidates.empty(), got.size(), " results, ", expected[0][0].candidates.size(), " boxes");
    for (size_t i = 0; i < got.size(); ++i) check(same(got[i], expected[i]), "result ", i, " differs from the CPU's");
  }
});

const OnOneThread necessary("device: each wait is needed, and its lack is reported", [] {
  const auto device = std::make_shared<StandIn>();
  live(device);
  check(device->waits() > 10, device->waits(), " waits");
  for (int i = 0; i < device->waits(); ++i) {
    const auto mutated = std::make_shared<StandIn>(Mutation{.ignored_wait = i});
    live(mutated);
    check(reported(*mutated, "in no order"), "without its wait ", i, " nothing is reported");
  }
});

const OnOneThread heads("device: maps copied on another stream than they were computed on are reported", [] {
  const auto read = [](Mutation mutation) {
    const auto device = std::make_shared<StandIn>(mutation);
    scene().load(device)->maps(scene().pictures(1)[0], scene().options);
    return device;
  };
  check(reported(*read({.default_stream_downloads = true}), "a download's source is read in no order with who wrote a forward's maps"),
        "the default stream may read maps");
  check_clean(*read({}), "heads");
});

/// Lives until a recording, meanwhile does something on another thread, and lives on.
std::shared_ptr<StandIn> disturbed(const std::function<void(StandIn&, Predictor&)>& disturb, Mutation mutation = {}) {
  const auto device = std::make_shared<StandIn>(mutation);
  const auto predictor = scene().load(device);
  const auto pictures = scene().pictures(1);
  std::vector<std::function<DecodedViews()>> unread;
  bool was_recorded = false;
  device->while_recording = [&] {
    was_recorded = true;
    std::async(std::launch::async, [&] {
      unread[0]();
      unread.clear();
      disturb(*device, *predictor);
    }).get();
  };
  for (int i = 0; i < 3; ++i) unread.push_back(predictor->start(pictures, scene().options));
  check(was_recorded, "nothing was recorded");
  return device;
}

const OnOneThread pinned("device: results are read and let go while their stream is recorded; freed pinned memory and events there are reported", [] {
  check_clean(*disturbed([](StandIn&, Predictor&) {}), "reading results");
  const auto freed = disturbed([](StandIn& device, Predictor&) { device.free_pinned(device.allocate_pinned(8)); });
  check(reported(*freed, "pinned memory is freed while a stream is recorded") && reported(*freed, "pinned memory is allocated while a stream"),
        first_of(freed->faults()));
  const auto device = std::make_shared<StandIn>();
  DeviceCalls calls(device);
  DeviceEvent event(device);
  const RecordingSpan span(device, calls.stream(), device->make_pool());
  event.record(calls.stream());
  event.synchronize();
  check(reported(*device, "a thread waits for an event of a recording"), first_of(device->faults()));
});

/// Two detectors on one device, the second of which comes while the first is recorded.
std::shared_ptr<StandIn> crowded(Mutation mutation) {
  std::future<DecodedViews> other;
  std::unique_ptr<Predictor> second;
  const auto device = disturbed(
      [&](StandIn& device, Predictor&) {
        std::atomic<bool> over{false};
        SharedDevice& shared = device.shared();
        other = std::async(std::launch::async, [&] {
          const Threads one(1);
          second = scene().load(device.shared_from_this());
          auto result = second->start(scene().pictures(2), scene().options)();
          over = true;
          return result;
        });
        while (!over && shared.lock.waiting() == 0) std::this_thread::yield();
        if (over) other.wait();
      },
      mutation);
  check(!other.get().empty(), "the second detector found no views");
  second.reset();
  return device;
}

const OnOneThread two("device: two detectors on one device keep out of each other's recordings", [] {
  check_clean(*crowded({}), "two detectors");
  const auto device = crowded({.one_lock_each = true});
  check(reported(*device, "a forward, which may search for algorithms while a stream is recorded"), first_of(device->faults()));
});

const OnOneThread streams("device: every owner has streams of its own; a pool that wraps is reported", [] {
  const auto make = [](Mutation mutation) {
    const auto device = std::make_shared<StandIn>(mutation);
    std::list<DeviceCalls> many;
    for (int i = 0; i < 20; ++i) many.emplace_back(device);
    return device;
  };
  check_clean(*make({}), "forty streams");
  check(reported(*make({.pooled_streams = true}), "a stream has two owners"), "nobody noticed");
});

const OnOneThread broken("device: a recording that breaks costs its speed alone, says why, and leaves the device to the next one", [] {
  const auto device = std::make_shared<StandIn>();
  const auto predictor = scene().load(device);
  const auto expected = scene().load(nullptr);
  device->while_recording = [] { TORCH_CHECK(false, "operation not permitted when stream is capturing"); };
  for (int i = 0; i < 5; ++i) {
    check(same(predictor->start(scene().pictures(1), scene().options)(), expected->start(scene().pictures(1), scene().options)()), "round ", i);
  }
  check(device->launches() == 0 && predictor->warnings().size() == 1, predictor->warnings().size(), " warnings");
  check(contains(predictor->warnings()[0], "127x127") && contains(predictor->warnings()[0], "not permitted"), predictor->warnings()[0]);
  device->while_recording = nullptr;
  DetectOptions plain = scene().options;
  plain.flip = false;
  for (int i = 0; i < 4; ++i) predictor->start(scene().pictures(1), plain)();
  check(device->launches() == 2, "another size is launched ", device->launches(), " times");
  check_clean(*device, "after a broken recording");
});

const OnOneThread sticky("device: whatever call fails for good, the detector says ERR_DEVICE, goes in peace, and frees what it had", [] {
  const auto whole = std::make_shared<StandIn>();
  live(whole);
  check(whole->calls() > 100, whole->calls(), " calls");
  for (int from = 0; from < 2 * whole->calls(); ++from) {
    const auto device = std::make_shared<StandIn>();
    device->fails_from = from / 2;
    device->fails_in_libtorch = from % 2 == 1;
    try {
      live(device);  // what fails in the end only, nobody has to know
    } catch (const std::exception& error) {
      const auto* const coded = dynamic_cast<const Error*>(&error);
      check(contains(error.what(), "trapped") && (!coded || coded->code() == ErrorCode::Device), "call ", from, ": ", error.what());
    }
    device->check_that_all_is_freed();
    check_clean(*device, "call " + std::to_string(from / 2) + " fails");
  }
});

/// A map that the main stream makes, the side stream reads while the main one goes on, and what the main one does with both afterwards.
std::shared_ptr<StandIn> beside(Mutation mutation, bool throws = false) {
  const auto device = std::make_shared<StandIn>(mutation);
  {
    DeviceCalls calls(device);
    SideStream side(device, calls.stream());
    const Beside::Offer offer(side);
    const at::Tensor map = at::zeros({64});
    try {
      Fork around(map, [&] { return at::add(map, 1); });
      if (throws) throw Error(ErrorCode::Closed, "given up");
      device->tensor_used(calls.stream().get(), at::zeros({64}), true);
      const at::Tensor result = around.join();
      check(result[0].item<float>() == 1, "the way around is lost");
    } catch (const Error&) {
      device->tensor_used(calls.stream().get(), map, true);  // its memory serves the next one
    }
  }
  device->check_that_all_is_freed();
  return device;
}

const OnOneThread side("device: what runs beside the main stream is in order with it, also when that is given up", [] {
  for (const bool throws : {false, true}) {
    const auto device = beside({}, throws);
    check_clean(*device, "a way around");
    for (int i = 0; i < device->waits(); ++i) {
      check(reported(*beside({.ignored_wait = i}, throws), "a map that two streams use"), "without wait ", i, " nothing is reported");
    }
  }
});

const OnOneThread recorded_beside("device: a recording has the way around on a second stream where memory allows", [] {
  /// Waits within the recording; none where there is no recording.
  const auto waits = [](double free) -> std::optional<int> {
    const auto device = std::make_shared<StandIn>();
    device->capacity = static_cast<int64_t>(free);
    const auto predictor = scene().load(device);
    int before = 0, within = 0;
    device->in_forward = [&] { before = device->waits(); };
    device->while_recording = [&] { within = device->waits() - before; };
    try {
      for (int i = 0; i < 4; ++i) predictor->start(scene().pictures(1), scene().options)();
    } catch (const Error& error) {
      check(error.code() == ErrorCode::OutOfMemory, error.what());
    }
    check_clean(*device, "a recording");
    return device->launches() > 0 ? std::optional(within) : std::nullopt;
  };
  // The side stream waits once, and the main one once.
  check(waits(16e9) == 2, "the way around has no second stream");
  bool recorded_alone = false;
  for (double free = 64e6; free > 1e5 && !recorded_alone; free *= 0.9) recorded_alone = waits(free) == 0;
  check(recorded_alone, "little memory is not kept for the forward itself");
});

const OnOneThread canonical("device: tails of a batch take sizes that are known", [] {
  const auto device = std::make_shared<StandIn>();
  const auto predictor = scene().load(device);
  const DecodedViews found = predictor->start(scene().pictures(3), scene().options)();
  check(found.size() == 6 && predictor->forwards() == 3, predictor->forwards(), " forwards of a new padded size");
  const DecodedViews expected = scene().load(nullptr)->start(scene().pictures(3), scene().options)();
  check(same(found, expected), "the boxes are others");
});

const OnOneThread rules("device: LibTorch's settings are a forward's own while it is given to the device, and the process's afterwards", [] {
  const at::Context& context = at::globalContext();
  const bool tf32 = context.allowTF32CuDNN(), deterministic = context.deterministicCuDNN(), search = context.benchmarkCuDNN();
  const auto hold = [&](CudaRules wanted) {
    for (int i = 0; i < 300; ++i) {
      const RulesInForce rules(wanted);
      for (int again = 0; again < 3; ++again) {
        if (context.allowTF32CuDNN() != wanted.tf32 || context.deterministicCuDNN() != wanted.deterministic) return false;
        std::this_thread::yield();
      }
    }
    return true;
  };
  std::vector<std::future<bool>> kept;
  for (const CudaRules wanted : {CudaRules{.tf32 = true}, CudaRules{}, CudaRules{.deterministic = true}, CudaRules{.tf32 = true}}) {
    kept.push_back(std::async(std::launch::async, hold, wanted));
  }
  for (auto& one : kept) check(one.get(), "a forward met another detector's settings");
  check(context.allowTF32CuDNN() == tf32 && context.deterministicCuDNN() == deterministic && context.benchmarkCuDNN() == search,
        "the process's settings are others than before");
});

const OnOneThread memory("device: a forward that lacks memory has another try with what others left, then with half the views", [] {
  const auto lacking = [](int times) {
    const auto device = std::make_shared<StandIn>();
    const auto predictor = scene().load(device);
    device->in_forward = [&times] { TORCH_CHECK(times-- <= 0, "GET was unable to find an engine to execute this computation"); };
    const DecodedViews views = predictor->start(scene().pictures(2), scene().options)();
    check(same(views, scene().load(nullptr)->start(scene().pictures(2), scene().options)()), "other boxes");
    check_clean(*device, "memory that lacks");
    return predictor->views();
  };
  // Of a size that is new, picture by picture.
  check(lacking(0) == 2 + 2, "two views were not one forward");
  check(lacking(1) == 2 + 2 + 2, "the same forward was not tried again");
  check(lacking(2) == 2 + 2 + 4 * 1, "one view at a time did not do");
  refused(ErrorCode::OutOfMemory, [&] { lacking(9); });
});

const OnOneThread measured("device: a forward is measured only while the device does nothing else", [] {
  const auto device = std::make_shared<StandIn>();
  const auto predictor = scene().load(device);
  int lacking = 2;
  device->in_forward = [&] { TORCH_CHECK(lacking-- <= 0, "CUDA out of memory"); };
  const auto run = [&] { predictor->start(scene().pictures(1), scene().options)(); };
  run();  // two views, twice, of which the second would be measured; then one by one: the second is not the first of its call, which holds the lock
  check(predictor->forwards() == 4 && device->measured() == 1, device->measured(), " were measured");
  check_clean(*device, "forwards in the same call");
});

const OnOneThread again("device: a size for whose recording memory lacked is recorded when there is some", [] {
  const auto device = std::make_shared<StandIn>();
  const auto predictor = scene().load(device);
  device->while_recording = [] { TORCH_CHECK(false, "CUDA out of memory. Tried to allocate 2.00 GiB"); };
  const auto run = [&](int times) {
    for (int i = 0; i < times; ++i) predictor->start(scene().pictures(1), scene().options)();
  };
  run(90);  // it is tried twice, and said once
  check(device->launches() == 0 && predictor->warnings().size() == 1, predictor->warnings().size(), " warnings");
  device->while_recording = nullptr;
  run(70);
  check(device->launches() > 0, "it is never recorded");
  check_clean(*device, "a recording that lacked memory");
});

const OnOneThread forgotten("device: the memory of a recording that is let go is the next forward's", [] {
  if (!has_cpu_feature("avx512f")) skip("this CPU has no AVX-512, without which oneDNN has no bf16");
  const auto device = std::make_shared<StandIn>();
  const auto predictor = scene().load(device, {}, at::kBFloat16);
  const int64_t one = int64_t{2} * 3 * 127 * 127 * 1000;
  device->peak_of = [](const at::Tensor& input) { return input.numel() * 1000; };
  const auto run = [&] { predictor->start(scene().pictures(1), scene().options)(); };
  for (int i = 0; i < 5; ++i) run();
  check(device->recorded() == 1, device->recorded(), " recordings were made");
  device->capacity = one * 7 / 5;      // others fill the device: for the forward there is enough, for half of it beside its recording there is not
  for (int i = 0; i < 70; ++i) run();  // a stream of one size is searched by and by, for which its recording goes
  check_clean(*device, "a recording that went");
});

const OnOneThread recordings("device: recordings leave room for the largest forward so far, and go where a larger one needs theirs", [] {
  const auto device = std::make_shared<StandIn>();
  const auto predictor = scene().load(device);
  const auto run = [&](size_t pictures) { predictor->start(scene().pictures(pictures), scene().options)(); };
  device->peak_of = [](const at::Tensor& input) { return input.numel() * 1000; };  // bytes
  const int64_t one = int64_t{2} * 3 * 127 * 127 * 1000;                           // a picture's two views
  device->capacity = 2 * one * 10 / 9 + 50'000'000;                                // nine tenths of it may be used
  for (int i = 0; i < 4; ++i) run(1);
  check(device->launches() == 2, "what fits beside itself is launched ", device->launches(), " times");
  for (int i = 0; i < 6; ++i) run(2);  // needs what the recording keeps: it goes, and never comes back
  const int before = device->launches();
  for (int i = 0; i < 8; ++i) run(1 + i % 2);
  check(device->launches() == before, "a recording came back ", device->launches() - before, " times where it has no room");
  check(device->recorded() == 1, device->recorded(), " recordings were made: they push each other out");
  check_clean(*device, "mixed sizes");
});

const OnOneThread huge("device: no map of a forward has 2^31 numbers", [] {
  const auto device = std::make_shared<StandIn>();
  const auto predictor = scene().load(device);
  int64_t largest = 0;
  for (const Work& work : predictor->work(1, 127, 127)) largest = std::max(largest, work.out_channels * work.height * work.width);
  check(largest > 0 && predictor->views_to_count(127, 127) <= ((int64_t{1} << 31) - 1) / (3 * 127 * 127), "views of a small picture");
  const int64_t many = predictor->views_to_count(4095, 4095);
  check(many >= 1 && many < 64, many, " views of 4095x4095 pixels");
  const std::string sentence = refused(ErrorCode::OutOfMemory, [&] { predictor->views_to_count(65535, 65535); });
  check(contains(sentence, "2^31") && contains(sentence, "tiles"), sentence);
});

/// Maps of a network in fp16 whose inner numbers end beyond 65504, though its weights don't: as they are, and in fp32.
void compute_beyond_fp16(const std::shared_ptr<DeviceRuntime>& runtime) {
  Scene wide = scene();
  for (auto& [name, tensor] : wide.tensors) {
    if (!contains(name, "_heat.")) continue;
    if (contains(name, ".0.conv.bias")) tensor = tensor.mul(0).add(65'000);
    if (contains(name, ".0.conv.weight")) tensor = tensor.mul(1e5);
    if (contains(name, ".1.conv.weight")) tensor = tensor.div(1e5);
  }
  DetectOptions options = wide.options, in_fp32 = wide.options;
  in_fp32.in_fp32 = true;
  const auto half = wide.load(runtime, {}, at::kHalf), full = wide.load(runtime);
  const auto all_finite = [](const DecodedViews& views) { return std::ranges::all_of(views, [](const Decoded& view) { return view.finite; }); };
  for (int round = 0; round < 4; ++round) {  // by itself, watched, recorded, launched
    check(!all_finite(half->start(wide.pictures(2), options)()), "fp16 is beyond its end, and nobody notices");
    check(all_finite(half->start(wide.pictures(2), in_fp32)()), "fp32 is not enough");
  }
  check(all_finite(full->start(wide.pictures(2), options)()), "the weights are too large for fp32 also");
  const auto expected = tensors_of(full->maps(wide.pictures(1)[0], options)), got = tensors_of(half->maps(wide.pictures(1)[0], in_fp32));
  for (size_t i = 0; i < got.size(); ++i) {
    // Weights of 11 bits, each of whose roundings is half a unit of the last, through some twenty convolutions.
    const double error = (got[i] - expected[i]).abs().max().item<double>() / expected[i].abs().max().item<double>();
    check(error > 0 && error < 20 * 0x1p-11, "map ", i, " is ", error, " of its largest number from fp32's");
  }
}

const OnOneThread wider("device: maps beyond fp16 are noticed, and computed in fp32 when that is asked for", [] {
  const auto device = std::make_shared<StandIn>();
  compute_beyond_fp16(device);
  check(device->launches() > 0, "fp16's forwards are not recorded any more");
  check_clean(*device, "two types in turns");
});

const OnOneThread wider_gpu("device: maps beyond fp16 are noticed, and computed in fp32 when that is asked for (GPU)", [] {
  skip_without_gpu();
  compute_beyond_fp16(runtime_of(at::Device(at::kCUDA, 0)));
});

const OnOneThread beyond("device: weights that a folded norm takes beyond fp16 are refused by name", [] {
  CornerNet network(scene().config);
  std::vector<Parameter> parameters = network.parameters();
  for (size_t i = 0; i < parameters.size(); ++i) {
    *parameters[i].slot = scene().tensors[i].second;
    if (parameters[i].name == "bbox_head.tl_heat.0.0.conv.weight") *parameters[i].slot = scene().tensors[i].second.mul(1e8);
  }
  const std::string sentence = refused(ErrorCode::Checkpoint, [&] { network.prepare(at::kHalf, at::kCPU); });
  check(contains(sentence, "bbox_head.tl_heat.0.0.conv holds numbers beyond fp16"), sentence);
});

}  // namespace
