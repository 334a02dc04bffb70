// The pooling operator against its definition and against ATen's cummax.
#include "ops/corner_pool.h"

#include <ATen/ops/cummax.h>
#include <ATen/ops/cummaxmin_backward.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/flip.h>
#include <ATen/ops/zeros.h>

#include <array>
#include <atomic>

#include "naive_pool.h"
#include "op_cases.h"
#include "runtime/error.h"
#include "test.h"

using namespace cornernet;
using namespace cornernet::testing;

namespace {

// One pixel, one row, one column, odd sizes, channels on both sides of a task's width, rows on both sides of a block's 128, an empty batch.
const std::vector<std::vector<int64_t>> kShapes{{1, 1, 1, 1},   {2, 3, 1, 7},   {1, 5, 9, 1},   {2, 3, 13, 17}, {2, 8, 16, 32},
                                                {1, 130, 5, 9}, {1, 4, 150, 3}, {1, 2, 3, 301}, {0, 3, 4, 4}};
constexpr at::MemoryFormat kFormats[] = {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast};

/// Runs visit(x, what) for every shape, content, type and layout on `device`.
template <typename Visit>
void for_every_input(at::Device device, Visit&& visit) {
  unsigned seed = 1;
  for (const auto& shape : kShapes) {
    for (const Content content : kContents) {
      for (const at::ScalarType type : types_on(device)) {
        for (const at::MemoryFormat format : kFormats) {
          std::ostringstream what;
          what << at::IntArrayRef(shape) << " " << name_of(content) << " " << type << (format == at::MemoryFormat::Contiguous ? " NCHW" : " NHWC");
          visit(make_values(shape, content, seed++).to(device, type).contiguous(format), what.str());
        }
      }
    }
  }
}

std::vector<std::pair<Direction, Direction>> pairs() {
  return {{Direction::Top, Direction::Left},
          {Direction::Bottom, Direction::Right},
          {Direction::Top, Direction::Right},
          {Direction::Bottom, Direction::Left}};
}

void check_forward(at::Device device) {
  for_every_input(device, [](const at::Tensor& x, const std::string& what) {
    for (const Direction direction : kDirections) {
      const at::Tensor y = corner_pool(x, direction);
      check(y.strides() == x.strides() && y.device() == x.device(), what, ": the layout or device changed");
      check_same(y, naive_pool(x, direction), what + " " + name_of(direction));
    }
  });
}

void check_backward(at::Device device) {
  for_every_input(device, [](const at::Tensor& x, const std::string& what) {
    // Whole numbers below 2^7, whose sums over a line stay exact in every type but bf16 (8 bits): there only short lines.
    const bool few = x.scalar_type() == at::kBFloat16 && std::max(x.size(2), x.size(3)) > 100;
    const at::Tensor grad = few ? at::zeros(x.sizes(), at::kFloat) : make_values(x.sizes(), Content::Ties, 7);
    const at::Tensor grad_y = grad.to(x.device(), x.scalar_type()).contiguous(x.suggest_memory_format());
    for (const Direction direction : kDirections) {
      check_same(corner_pool_backward(grad_y, x, direction), naive_pool(x, direction, grad_y), what + " " + name_of(direction));
    }
  });
}

void check_pairs(at::Device device) {
  for_every_input(device, [](const at::Tensor& a, const std::string& what) {
    const at::Tensor b = make_values(a.sizes(), Content::Random, 99).to(a.device(), a.scalar_type());
    for (const auto& [direction_a, direction_b] : pairs()) {
      const at::Tensor expected = naive_pair(a, direction_a, b, direction_b);
      for (const int count : {1, 4}) {  // a picture a thread in one pass, or more threads than pictures
        const Threads threads(count);
        const at::Tensor y = corner_pool_pair(a, direction_a, b, direction_b);
        check(y.strides() == a.strides() || a.numel() == 0, what, ": the layout changed");
        check_same(y, expected, what + " " + name_of(direction_a) + " + " + name_of(direction_b));
      }
    }
  });
}

/// What the package replaces: flip, cummax, flip.
std::tuple<at::Tensor, at::Tensor> aten_pool(const at::Tensor& x, Direction direction) {
  const int64_t axis = direction == Direction::Top || direction == Direction::Bottom ? 2 : 3;
  const bool backwards = direction == Direction::Top || direction == Direction::Left;
  const auto [values, indices] = at::cummax(backwards ? at::flip(x, {axis}) : x, axis);
  return {backwards ? at::flip(values, {axis}) : values, indices};
}

void check_against_cummax(at::Device device) {
  for (const at::ScalarType type : types_on(device)) {
    for (const Content content : kContents) {
      const at::Tensor x = make_values({2, 3, 11, 14}, content, 5).to(device, type);
      const at::Tensor grad_y = make_values({2, 3, 11, 14}, Content::Ties, 6).to(device, type);
      for (const Direction direction : kDirections) {
        const std::string what = std::string(name_of(content)) + " " + c10::toString(type) + " " + name_of(direction);
        const auto [values, indices] = aten_pool(x, direction);
        check_same(corner_pool(x, direction), values, what);
        const int64_t axis = direction == Direction::Top || direction == Direction::Bottom ? 2 : 3;
        const bool backwards = direction == Direction::Top || direction == Direction::Left;
        const auto turned = [&](const at::Tensor& t) { return backwards ? at::flip(t, {axis}) : t; };
        check_same(corner_pool_backward(grad_y, x, direction), turned(at::cummaxmin_backward(turned(grad_y), turned(x), indices, axis)),
                   what + " backward");
      }
    }
  }
}

const Registration refusals("corner_pool: wrong input is refused with a code", [] {
  const at::Tensor x = make_values({1, 2, 3, 4}, Content::Random, 1);
  const auto refuses = [](const char* part, auto call) { check(contains(refused(ErrorCode::Input, call), part), part); };
  refuses("missing", [&] { corner_pool(at::Tensor(), Direction::Top); });
  refuses("four dimensions", [&] { corner_pool(x[0], Direction::Top); });
  refuses("dtype Int", [&] { corner_pool(x.to(at::kInt), Direction::Top); });
  refuses("agree", [&] { corner_pool_backward(x.to(at::kHalf), x, Direction::Top); });
  refuses("agree", [&] { corner_pool_backward(x.slice(3, 0, 2), x, Direction::Top); });
  for (const auto& [a, b] : {std::pair(Direction::Top, Direction::Bottom), {Direction::Left, Direction::Right}, {Direction::Left, Direction::Top}})
    refuses("a vertical direction and then a horizontal one", [&] { corner_pool_pair(x, a, x, b); });
  refuses("agree", [&] { corner_pool_pair(x, Direction::Top, x.to(at::kBFloat16), Direction::Left); });
  refuses("agree", [&] { corner_pool_pair(x, Direction::Top, x.slice(2, 0, 2), Direction::Left); });
});

void check_strided(at::Device device) {
  const at::Tensor whole = make_values({2, 6, 9, 12}, Content::Ties, 3).to(device);
  const at::Tensor x = whole.slice(3, 1, 11, 2).slice(1, 0, 4), turned = whole.transpose(2, 3).slice(2, 0, 5);
  for (const Direction direction : kDirections) {
    check_same(corner_pool(x, direction), naive_pool(x, direction), name_of(direction));
    check_same(corner_pool(turned, direction), naive_pool(turned, direction), name_of(direction));
    check_same(corner_pool_backward(x, x, direction), naive_pool(x, direction, x), name_of(direction));
  }
  const at::Tensor last = x.contiguous(at::MemoryFormat::ChannelsLast);
  check_same(corner_pool_pair(last, Direction::Top, x, Direction::Left), naive_pair(x, Direction::Top, x, Direction::Left), "two layouts");
}

const Registration threads_test("corner_pool: results do not depend on the number of threads", [] {
  for (const at::MemoryFormat format : kFormats) {
    const at::Tensor a = make_values({1, 96, 40, 36}, Content::Random, 11).contiguous(format);
    const at::Tensor b = make_values({1, 96, 40, 36}, Content::Random, 12).contiguous(format);
    std::vector<at::Tensor> results;
    for (const int count : {1, 2, 3, 7}) {
      const Threads threads(count);
      results.push_back(corner_pool_pair(a, Direction::Bottom, b, Direction::Left));
      results.push_back(corner_pool(a, Direction::Top));
      results.push_back(corner_pool_backward(b, a, Direction::Right));
    }
    for (size_t i = 3; i < results.size(); ++i) check(at::equal(results[i], results[i % 3]), "result ", i % 3, " changed with the threads");
  }
});

const Registration spread("corner_pool: LibTorch's loops, which the operators use, run on as many threads as asked for", [] {
  const Threads threads(3);
  std::array<std::atomic<int>, 3> visits{};
  at::parallel_for(0, 3, 1, [&](int64_t, int64_t) { ++visits.at(at::get_thread_num()); });
  check(visits[0] == 1 && visits[1] == 1 && visits[2] == 1, "threads 0, 1, 2 ran ", visits[0], ", ", visits[1], ", ", visits[2], " times");
});

const OnEveryDevice forward("corner_pool: every direction, type, layout and content gives what the definition says", check_forward);
const OnEveryDevice gradient("corner_pool: a gradient goes to the latest maximum", check_backward);
const OnEveryDevice pair("corner_pool: the pair and its sum equal two poolings, an fp32 addition and one rounding", check_pairs);
const OnEveryDevice cummax("corner_pool: forward and backward equal at::cummax", check_against_cummax);
const OnEveryDevice strided("corner_pool: views that are dense in neither layout give the same results", check_strided);

}  // namespace
