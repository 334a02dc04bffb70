// What training is made of: the fused operators' gradients, augmentation, and writing what is read again.
#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/upsample_nearest2d.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <map>
#include <string>
#include <thread>
#include <utility>

#include "checkpoint/checkpoint_writer.h"
#include "naive_pool.h"
#include "nn/differentiable.h"
#include "op_cases.h"
#include "runtime/interrupt.h"
#include "train/beginning.h"
#include "train/learner.h"
#include "train/photometric.h"
#include "train/random.h"
#include "train/sample.h"

using namespace cornernet;
using namespace cornernet::testing;
using namespace cornernet::train;

namespace {

/// It goes with the test.
struct ScratchFolder {
  const std::filesystem::path path = std::filesystem::temp_directory_path() / ("cornernet-written-" + std::to_string(::getpid()));
  ScratchFolder() { std::filesystem::create_directory(path); }
  ~ScratchFolder() { std::filesystem::remove_all(path); }
  std::filesystem::path operator/(const char* name) const { return path / name; }
};

at::Tensor leaf(Content content, at::IntArrayRef shape, unsigned seed, at::ScalarType type) {
  return make_values(shape, content, seed).to(type).set_requires_grad(true);
}

const Registration pool_gradient("training: the fused pair of poolings gives each its own gradient, the latest maximum's at ties", [] {
  const at::AutoGradMode recording(true);
  for (const at::ScalarType type : types_on(at::kCPU)) {
    for (const Content content : {Content::Random, Content::Ties, Content::Constant}) {
      for (const auto& [vertical, horizontal] : {std::pair(Direction::Top, Direction::Left), std::pair(Direction::Bottom, Direction::Right)}) {
        const at::Tensor a = leaf(content, {2, 3, 9, 7}, 1, type), b = leaf(content, {2, 3, 9, 7}, 2, type);
        const at::Tensor grad = make_values({2, 3, 9, 7}, Content::Ties, 3).to(type);
        pool_and_add(a, vertical, b, horizontal, {}).backward(grad);
        const std::string what = std::string(name_of(content)) + " " + c10::toString(type);
        check_same(a.grad(), naive_pool(a.detach(), vertical, grad), what + ", vertical");
        check_same(b.grad(), naive_pool(b.detach(), horizontal, grad), what + ", horizontal");
      }
    }
  }
});

const Registration upsample_gradient("training: upsampling and adding gives ATen's gradients", [] {
  const at::AutoGradMode recording(true);
  for (const at::ScalarType type : types_on(at::kCPU)) {
    for (const auto& [low_size, size] : {std::pair(4, 8), std::pair(4, 7), std::pair(1, 1)}) {
      const auto pair = [&] {
        return std::pair(leaf(Content::Random, {2, 3, low_size, low_size}, 1, type), leaf(Content::Random, {2, 3, size, size}, 2, type));
      };
      const auto [low, skip] = pair();
      const auto [low_aten, skip_aten] = pair();
      const at::Tensor grad = make_values({2, 3, size, size}, Content::Ties, 3).to(type);
      upsample_and_add(low, skip, {}).backward(grad);
      (at::upsample_nearest2d(low_aten, skip_aten.sizes().slice(2)) + skip_aten).backward(grad);
      check_same(low.grad(), low_aten.grad(), "low");
      check_same(skip.grad(), skip_aten.grad(), "skip");
    }
  }
});

/// Black but for boxes of white.
Sample drawn_sample(int width, int height, std::vector<TruthBox> boxes, uint64_t seed) {
  Sample sample{{RecycledBytes(static_cast<size_t>(3 * width * height)), width, height}, std::move(boxes), seed};
  for (const TruthBox& box : sample.boxes) {
    for (int y = static_cast<int>(box.y1); y < static_cast<int>(box.y2); ++y) {
      const auto row = sample.picture.rgb.begin() + 3 * (y * width);
      std::fill(row + 3 * static_cast<int>(box.x1), row + 3 * static_cast<int>(box.x2), uint8_t{255});
    }
  }
  return sample;
}

const Registration augmentation("training: augmented boxes lie where their objects do, and are the seed's", [] {
  constexpr int kSize = 96;
  int mirrored = 0, moved = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const Sample sample = drawn_sample(150, 110, {{20, 30, 50, 60, 1}, {90, 40, 130, 100, 2}}, seed);
    std::vector<float> values(3 * kSize * kSize), again(values.size());
    const auto boxes = prepare_sample(sample, {true, kSize}, {}, values);
    check(prepare_sample(sample, {true, kSize}, {}, again).size() == boxes.size() && values == again, "two runs differ");
    check(!boxes.empty(), "seed ", seed, ": no box is left");
    const auto level = [&](float x, float y) {
      double sum = 0;
      for (int c = 0; c < 3; ++c) sum += values[static_cast<size_t>((c * kSize + static_cast<int>(y)) * kSize + static_cast<int>(x))];
      return sum;
    };
    for (const TruthBox& box : boxes) {
      check(box.x1 >= 0 && box.y1 >= 0 && box.x2 <= kSize && box.y2 <= kSize && box.x2 > box.x1 && box.y2 > box.y1, "seed ", seed, ": outside");
      check(box.class_id == 1 || box.class_id == 2, "another class");
      const double inside = level((box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2);
      for (const auto& [x, y] : {std::pair(box.x1 - 3, (box.y1 + box.y2) / 2), std::pair((box.x1 + box.x2) / 2, box.y1 - 3)}) {
        const bool elsewhere =
            x < 0 || y < 0 ||
            std::any_of(
                boxes.begin(), boxes.end(),
                [&](const TruthBox& other) { return x > other.x1 - 2 && x < other.x2 + 2 && y > other.y1 - 2 && y < other.y2 + 2; });
        // Outside lies black, or the mean colour around the picture: both are darker than the object.
        if (!elsewhere) check(inside > level(x, y), "seed ", seed, ": the box is not where the object is");
      }
    }
    const auto unmirrored = prepare_sample(sample, {true, kSize, false}, {}, again);
    check(unmirrored.size() == boxes.size(), "seed ", seed, ": the coin decides about more than mirroring");
    if (unmirrored.size() == 2) check(unmirrored[0].x1 < unmirrored[1].x1, "seed ", seed, ": mirrored though it must not be");
    if (boxes.size() == 2) {
      mirrored += boxes[0].x1 > boxes[1].x1 ? 1 : 0;
      ++moved;
    }
  }
  check(moved > 20 && mirrored > moved / 4 && mirrored < 3 * moved / 4, mirrored, " of ", moved, " are mirrored");
});

const Registration beginnings("training: weights are drawn as mmdetection drew those of its own beginning", [] {
  // The demo's network, whose start.pth mmdetection wrote before its first step.
  const Checkpoint theirs = load_checkpoint(CORNERNET_FIXTURES "/digits/train/start.pth");
  const int64_t classes = static_cast<int64_t>(theirs.meta.classes.size());
  const Beginning ours = draw_beginning({2, 16, 32, {32, 32, 48, 64}, {1, 1, 1, 2}, 32, 32}, classes > 0 ? classes : 10, 5);
  const std::map<std::string, at::Tensor> theirs_by_name(theirs.tensors.begin(), theirs.tensors.end());
  int compared = 0;
  for (const auto& [name, tensor] : ours.tensors) {
    const auto found = theirs_by_name.find(name);
    check(found != theirs_by_name.end() && found->second.sizes() == tensor.sizes(), name, " is none of mmdetection's");
    const at::Tensor &a = tensor, &b = found->second;
    if (tensor.dim() != 4 || tensor.numel() < 500) {
      const auto nonzero = [](const at::Tensor& t) { return t.ne(0).any().item<bool>(); };
      check(nonzero(a) == nonzero(b), name, " is 0 for one of both alone");
      continue;
    }
    ++compared;
    // Of 500 numbers and more the deviation is known to some 4%, the fourth moment (1.8 of a uniform, 3 of a normal distribution) to 0.25.
    const double spread = a.std().item<double>() / b.std().item<double>();
    check(spread > 0.85 && spread < 1.15, name, " deviates ", spread, " times as far");
    const auto fourth = [](const at::Tensor& t) { return t.pow(4).mean().item<double>() / std::pow(t.pow(2).mean().item<double>(), 2); };
    if (tensor.numel() >= 2000) check(std::abs(fourth(a) - fourth(b)) < 0.6, name, " has another distribution: ", fourth(a), ", not ", fourth(b));
  }
  check(compared > 50, "only ", compared, " were compared");
});

const Registration colours("training: colours are distorted within what mmdetection's own conversions give", [] {
  // Brightness takes 32 at most and contrast multiplies by 1.5 at most. Saturation that grows is cut to 1, and below 0 the conversion to hues and
  // back turns a pixel's channels over: its largest becomes its least.
  for (const auto& [pixel, least] : {std::pair(Pixel{255, 0, 0}, -32 * 1.5f), std::pair(Pixel{10, 5, 0}, (10 - 32) * 1.5f)}) {
    for (uint64_t seed = 0; seed < 2000; ++seed) {
      Random random(seed);
      const Pixel made = PhotometricDistortion(random).apply(pixel);
      check(std::ranges::min(made) >= least - 0.01f, "seed ", seed, ": ", std::ranges::min(made), " of ", pixel[0]);
    }
  }
});

const Registration halves("training: a crop of an odd size leaves its last row and column to the mean, as mmdetection's does", [] {
  constexpr int kSize = 65, kSide = 1000, kSeeds = 100;  // crops of 39, 45, 52, 58, 65, 71, 78 and 84
  int odd = 0;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    Sample sample = drawn_sample(kSide, kSide, {}, seed);
    std::ranges::fill(sample.picture.rgb, uint8_t{255});
    std::vector<float> values(3 * kSize * kSize);
    prepare_sample(sample, {true, kSize, /*mirrors=*/false}, {}, values);
    const auto at = [&](int x, int y) { return std::abs(values[static_cast<size_t>(y * kSize + x)]); };  // the mean becomes 0
    const float middle = at(kSize / 2, kSize / 2);
    const auto is_mean = [&](int x, int y) { return at(x, y) < 0.2f * middle; };
    if (is_mean(0, kSize / 2) || is_mean(kSize / 2, 0)) continue;  // it reaches outside
    odd += is_mean(kSize - 1, kSize / 2) && is_mean(kSize / 2, kSize - 1) ? 1 : 0;
  }
  check(odd > kSeeds / 4 && odd < 3 * kSeeds / 4, odd, " of ", kSeeds, " are odd");
});

const Registration unreachable("training: a crop is laid around a box that no drawn centre shows", [] {
  const Sample sample = drawn_sample(2000, 2000, {{0, 0, 3, 3, 0}}, 7);
  std::vector<float> values(3 * 64 * 64);
  check(prepare_sample(sample, {true, 64}, {}, values).size() == 1, "the box is lost");
});

const Registration plain("training: without augmentation pictures are resized and their boxes with them", [] {
  const Sample sample = drawn_sample(100, 50, {{20, 10, 60, 40, 0}}, 7);
  std::vector<float> values(3 * 200 * 200);
  const auto boxes = prepare_sample(sample, {false, 200}, {}, values);
  check(boxes.size() == 1 && boxes[0].x1 == 40 && boxes[0].y1 == 40 && boxes[0].x2 == 120 && boxes[0].y2 == 160, "the box is elsewhere");
  check(std::abs(values[0] - (0 - 123.675f) / 58.395f) < 1e-6, "black is not normalised");
  check(std::abs(values[100 * 200 + 80] - (255 - 123.675f) / 58.395f) < 1e-5, "white is not normalised");
});

const Registration written("checkpoint: what is written is read again, bit by bit, optimizer included", [] {
  const Architecture small{2, 4, 8, {8, 8, 12}, {1, 1, 2}, 8, 8};
  Beginning beginning = draw_beginning(small, 3, 5);
  Learner learner(beginning.config, beginning.tensors, {});
  std::vector<float> values(3 * 64 * 64);
  const Sample sample = drawn_sample(64, 64, {{10, 10, 30, 40, 1}, {5, 20, 60, 50, 2}}, 1);
  const auto boxes = prepare_sample(sample, {false, 64}, {}, values);
  for (int i = 0; i < 2; ++i) {
    learner.differentiate(at::from_blob(values.data(), {1, 3, 64, 64}, at::kFloat), {boxes});
    learner.update(1e-3);
  }
  CheckpointContent content;
  content.checkpoint = {{}, {{"a", "b\"'\\", "ü"}, "x = 1\n", 2, 1}, learner.adam().moments()};
  for (const auto& [name, tensor] : learner.tensors()) content.checkpoint.tensors.emplace_back(name, tensor.detach());
  content.parameters = static_cast<int64_t>(learner.parameters().size());
  const ScratchFolder folder;
  const std::string path = folder / "some.pth";
  write_checkpoint(path, content);
  {
    const Checkpoint read = load_checkpoint(path);
    check(read.meta.classes == content.checkpoint.meta.classes && read.meta.config == "x = 1\n", "the metadata differ");
    check(read.meta.iteration == 2 && read.meta.epoch == 1, "the iteration differs");
    check(read.tensors.size() == content.checkpoint.tensors.size(), "the number of tensors differs");
    for (size_t i = 0; i < read.tensors.size(); ++i) {
      const auto& [name, tensor] = content.checkpoint.tensors[i];
      check(read.tensors[i].first == name && at::equal(read.tensors[i].second, tensor), name, " differs");
    }
    check(read.moments.size() == content.checkpoint.moments.size() && !read.moments.empty(), "the optimizer is lost");
    const Beginning again = take_over(read, read.meta.classes, 0);
    check(again.drawn.empty() && again.moments.size() == read.moments.size(), "it can't be gone on with");
    for (const auto& [place, moments] : again.moments) {
      const AdamMoments& before = content.checkpoint.moments.at(place);
      check(moments.steps == 2 && at::equal(moments.exp_avg, before.exp_avg) && at::equal(moments.exp_avg_sq, before.exp_avg_sq), "moments differ");
    }
  }
  check(contains(refused(ErrorCode::Write, [&] { write_checkpoint(folder / "nowhere" / "some.pth", content); }), "No such file"), "another sentence");
  for (at::Tensor damaged : {content.checkpoint.tensors[1].second, content.checkpoint.moments.begin()->second.exp_avg}) {
    const at::Tensor whole = damaged.clone();
    damaged.as_strided({1}, {1})[0] = std::numeric_limits<float>::quiet_NaN();
    check(contains(refused(ErrorCode::Input, [&] { write_checkpoint(folder / "other.pth", content); }), "not finite any more"), "another sentence");
    damaged.copy_(whole);
  }
  check(std::distance(std::filesystem::directory_iterator(folder.path), {}) == 1, "something is left beside it");
});

const Registration scaling("checkpoint: the loss scale goes on with the optimizer, and one that is none does not", [] {
  const Beginning drawn = draw_beginning({1, 4, 8, {8, 8}, {1, 1}, 8, 8}, 2, 5);
  CheckpointContent content;
  content.checkpoint = {drawn.tensors, {{"a", "b"}, "", 1, 0}, {}};
  for (int64_t place = 0; const auto& [name, tensor] : drawn.tensors) {
    if (contains(name, "running_") || contains(name, "num_batches")) continue;
    content.checkpoint.moments[place++] = {1, at::ones_like(tensor), at::ones_like(tensor)};
  }
  const ScratchFolder folder;
  const auto again = [&](std::optional<LossScaling> scaling) {
    content.checkpoint.loss_scaling = scaling;
    write_checkpoint(folder / "some.pth", content);
    return take_over(load_checkpoint(folder / "some.pth"), {"a", "b"}, 0);
  };
  check(!again({}).loss_scaling, "a scale that was never written");
  const Beginning goes_on = again(LossScaling{0.25, 7});
  check(goes_on.loss_scaling && goes_on.loss_scaling->factor == 0.25 && goes_on.loss_scaling->borne == 7, "another scale");
  check(!take_over(load_checkpoint(folder / "some.pth"), {"a", "c"}, 0).loss_scaling, "a scale without the optimizer that it was found for");
  for (const LossScaling none : {LossScaling{0, 0}, LossScaling{std::nan(""), 0}, LossScaling{HUGE_VAL, 0}, LossScaling{1, -1}})
    check(!again(none).loss_scaling, "a scale of ", none.factor, " after ", none.borne, " steps goes on");
  content.checkpoint.moments.clear();
  check(again(LossScaling{0.25, 7}).loss_scaling.has_value(), "a scale with which no step could be taken yet is lost");
});

const Registration dense("checkpoint: tensors of other layouts are written as dense ones, one after the other", [] {
  CheckpointContent content, packed;
  for (int i = 0; i < 16; ++i) {
    const at::Tensor kernel = at::randn({256, 512, 4, 4}), point = at::randn({64, 32, 1, 1});
    for (const auto& [name, tensor] : {std::pair("kernel", kernel), std::pair("point", point)}) {
      content.checkpoint.tensors.emplace_back(name + std::to_string(i), tensor.contiguous(at::MemoryFormat::ChannelsLast));
      packed.checkpoint.tensors.emplace_back(name + std::to_string(i), content.checkpoint.tensors.back().second.contiguous());
    }
  }
  const ScratchFolder folder;
  const long growth = peak_growth([&] { write_checkpoint(folder / "some.pth", content); });
  // A tensor has 8 MB, all of them 134.
  check(growth < 20'000'000, "writing took ", growth, " bytes");
  write_checkpoint(folder / "other.pth", packed);
  const auto bytes = [&](const char* name) {
    std::ifstream file(folder / name, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  check(bytes("some.pth") == bytes("other.pth"), "the file depends on the layout");
});

const Registration given_up("checkpoint: writing that is given up leaves nothing, whenever that happens", [] {
  CheckpointContent content;
  content.checkpoint.tensors = {{"first", at::ones({1 << 20})}, {"second", at::ones({1 << 20})}};
  const ScratchFolder folder;
  const std::filesystem::path path = folder / "some.pth";
  // A pipe holds 64 KB: what is written waits there until it is read, and the writing has begun when something can be.
  check(::mkfifo(path.c_str(), 0600) == 0, "there is no pipe");
  std::atomic<bool> interrupted{false};
  std::jthread reader([&] {
    std::ifstream pipe(path, std::ios::binary);
    pipe.get();
    interrupted = true;
    pipe.ignore(std::numeric_limits<std::streamsize>::max());
  });
  const Meanwhile asked(interrupt_flag, &interrupted);
  const std::string sentence = refused(ErrorCode::Closed, [&] { write_checkpoint(path, content); });
  reader.join();
  check(!std::filesystem::exists(path), "something is left");
});

const Registration renewed("training: other classes renew the heatmaps' last convolutions and nothing else", [] {
  const Checkpoint checkpoint = load_checkpoint(std::string(CORNERNET_FIXTURES) + "/training/start.pth");
  const Beginning same = take_over(checkpoint, checkpoint.meta.classes.empty() ? std::vector<std::string>(4) : checkpoint.meta.classes, 0);
  check(same.drawn.empty(), "something was drawn");
  const Beginning others = take_over(checkpoint, {"one", "two"}, 0);
  check(others.config.head.num_classes == 2 && others.drawn.size() == 8, others.drawn.size(), " tensors were drawn");  // two corners, two levels
  for (const std::string& name : others.drawn) check(contains(name, "_heat.") && contains(name, ".1.conv."), name);
});

const Registration hostile("training: weights and an optimizer that no training leaves are refused by name", [] {
  const Checkpoint checkpoint = load_checkpoint(std::string(CORNERNET_FIXTURES) + "/mmengine_training.pth");
  const auto refuses = [&](auto spoil, const char* sentence) {
    Checkpoint spoilt = checkpoint;
    spoil(spoilt);
    const std::string said = refused(ErrorCode::Checkpoint, [&] { take_over(spoilt, spoilt.meta.classes, 0); });
    check(contains(said, sentence), said, " and not ", sentence);
  };
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
  refuses([](Checkpoint& c) { c.tensors[0].second = at::full_like(c.tensors[0].second, kNaN); }, "backbone.stem.0.conv.weight holds numbers that");
  const auto first = [](Checkpoint& c) -> AdamMoments& { return c.moments.begin()->second; };
  refuses([&](Checkpoint& c) { first(c).steps = -1; }, "is below 0");
  refuses([&](Checkpoint& c) { first(c).steps = kNaN; }, "is below 0");
  refuses([&](Checkpoint& c) { first(c).exp_avg_sq = -at::ones_like(first(c).exp_avg_sq); }, "is below 0");
  const auto begins = [](std::vector<std::string> classes) {
    return [classes = std::move(classes)] {
      TrainerOptions options;
      options.classes = classes;
      Trainer trainer(options);
    };
  };
  check(contains(refused(ErrorCode::Input, begins(std::vector<std::string>(kMostClasses + 1, "a"))), "at most 10000 classes, not 10001"), "classes");
  check(contains(refused(ErrorCode::Input, begins({std::string(kLongestName + 1, 'a')})), "at most 256 bytes, not 257"), "a name");
});

const Registration infinite("training: a loss that is not finite is refused before anything is learned", [] {
  Beginning beginning = draw_beginning({1, 4, 8, {8, 8}, {1, 1}, 8, 8}, 2, 5);
  for (auto& [name, tensor] : beginning.tensors) {
    if (name == "bbox_head.tl_off.0.1.conv.bias") tensor.fill_(std::numeric_limits<float>::infinity());
  }
  Learner learner(beginning.config, beginning.tensors, {});
  const at::Tensor before = learner.parameters().front().detach().clone();
  const auto step = [&] { learner.differentiate(at::ones({1, 3, 64, 64}), {{{10, 10, 40, 40, 1}}}); };
  check(contains(refused(ErrorCode::Input, step), "the loss is not finite ("), "another sentence");
  check(at::equal(learner.parameters().front(), before), "something was learned");
});

const Registration unbearable("training: a gradient that no scale makes finite ends a training with scaled losses too", [] {
  LossScale scale(LossScaling{1, 1998});
  for (const bool finite : {true, true, true, false, true}) scale.note(finite);  // doubled after 2,000, halved once
  check(scale.factor() == 1 && scale.scaling()->borne == 1, "another rule than GradScaler's");
  // Offsets that are finite, by weights of 0, of maps that are nearly infinite.
  Beginning beginning = draw_beginning({1, 4, 8, {8, 8}, {1, 1}, 8, 8}, 2, 5);
  for (auto& [name, tensor] : beginning.tensors) {
    if (name == "bbox_head.tl_off.0.0.conv.bias") tensor.fill_(std::numeric_limits<float>::max());
    if (name == "bbox_head.tl_off.0.1.conv.weight") tensor.zero_();
  }
  Learner learner(beginning.config, beginning.tensors, {});
  const auto step = [&] { return learner.differentiate(at::ones({1, 3, 64, 64}), {{{10, 10, 40, 40, 1}}}); };
  learner.scale_losses();
  int steps = 0;
  const std::string sentence = refused(ErrorCode::Input, [&] {
    for (; steps < 100; ++steps) check(std::isinf(step().gradient_norm), "the gradient is finite");
  });
  check(contains(sentence, "the gradient is not finite ("), sentence);
  check(steps == 30, "it was given up after ", steps, " steps");  // from 2^16 to 2^-14
});

const Registration sixteen("training: activations in bf16 give gradients near those of fp32", [] {
  const auto drawn = [] { return draw_beginning({1, 8, 16, {16, 16}, {1, 1}, 8, 16}, 2, 5); };
  std::vector<double> totals;
  at::manual_seed(3);
  const at::Tensor x = at::randn({2, 3, 64, 64});
  for (const at::ScalarType type : precisions_on(at::kCPU)) {
    const Beginning beginning = drawn();
    Learner learner(beginning.config, beginning.tensors, {});
    const StepReport report = learner.differentiate(x.to(type), {{{10, 10, 40, 40, 1}}, {{5, 5, 60, 30, 0}}});
    for (const at::Tensor& parameter : learner.parameters()) {
      if (parameter.grad().defined()) check(parameter.grad().scalar_type() == at::kFloat, "a gradient is not fp32");
    }
    totals.push_back(report.total);
    // bf16 has 8 bits of mantissa; through some twenty layers that makes a few per cent.
    check(std::abs(report.total - totals[0]) < 0.05 * totals[0], "the loss in ", type, " is ", report.total, ", not ", totals[0]);
  }
});

const Registration mmengine("training: mmengine's optimizer goes on", [] {
  const Checkpoint checkpoint = load_checkpoint(std::string(CORNERNET_FIXTURES) + "/mmengine_training.pth");
  const Beginning beginning = take_over(checkpoint, checkpoint.meta.classes, 0);
  check(beginning.drawn.empty() && !beginning.moments.empty(), "no moments");
  Learner learner(beginning.config, beginning.tensors, {});
  learner.adam().set_moments(beginning.moments);
  for (const auto& [place, moments] : beginning.moments)
    check(moments.exp_avg.sizes() == learner.parameters().at(static_cast<size_t>(place)).sizes(), "moments of another tensor");
});

}  // namespace
