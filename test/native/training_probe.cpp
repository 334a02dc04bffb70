#include "training_probe.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include <cmath>
#include <csignal>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "op_cases.h"
#include "train/beginning.h"
#include "train/corner_targets.h"
#include "train/learner.h"

namespace cornernet::testing {
namespace {

using namespace cornernet::train;

constexpr int64_t kFeatureStride = 4;

Napi::Float64Array to_js(Napi::Env env, const at::Tensor& tensor) {
  const at::Tensor values = tensor.detach().to(at::kDouble).contiguous();
  auto array = Napi::Float64Array::New(env, static_cast<size_t>(values.numel()));
  std::copy_n(values.const_data_ptr<double>(), values.numel(), array.Data());
  return array;
}

Napi::Array to_js(Napi::Env env, const std::vector<double>& values) {
  Napi::Array list = Napi::Array::New(env, values.size());
  for (uint32_t i = 0; i < values.size(); ++i) list.Set(i, Napi::Number::New(env, values[i]));
  return list;
}

Sample sample_of(const Napi::Object& picture) {
  const auto bytes = picture.Get("data").As<Napi::Uint8Array>();
  const auto boxes = picture.Get("boxes").As<Napi::Array>(), labels = picture.Get("labels").As<Napi::Array>();
  Sample sample;
  sample.picture = {{bytes.Data(), bytes.Data() + bytes.ByteLength()},
                    picture.Get("width").As<Napi::Number>().Int32Value(),
                    picture.Get("height").As<Napi::Number>().Int32Value()};
  for (uint32_t i = 0; i < boxes.Length(); ++i) {
    const auto box = boxes.Get(i).As<Napi::Array>();
    const auto side = [&](uint32_t s) { return box.Get(s).As<Napi::Number>().FloatValue(); };
    sample.boxes.push_back({side(0), side(1), side(2), side(3), labels.Get(i).As<Napi::Number>().Int32Value()});
  }
  return sample;
}

struct Batch {
  at::Tensor x;
  std::vector<std::vector<TruthBox>> boxes;
  double learning_rate;
};

Batch batch_of(const Napi::Object& js, at::ScalarType type) {
  const auto pictures = js.Get("pictures").As<Napi::Array>();
  Batch batch{at::empty({0, 3, 64, 64}, at::kFloat), {}, js.Get("learningRate").As<Napi::Number>().DoubleValue()};
  for (uint32_t i = 0; i < pictures.Length(); ++i) {
    const Sample sample = sample_of(pictures.Get(i).As<Napi::Object>());
    const int size = sample.picture.width_px;
    if (i == 0) batch.x = at::empty({pictures.Length(), 3, size, size}, at::kFloat);
    const auto each = static_cast<size_t>(3 * size * size);
    batch.boxes.push_back(prepare_sample(sample, {false, size}, {}, {batch.x.mutable_data_ptr<float>() + i * each, each}));
  }
  batch.x = batch.x.to(type);
  return batch;
}

/// Every weight a rounding of fp32 up or down, by coins of a seed.
void nudge(NamedTensors& tensors, uint32_t seed) {
  std::mt19937 coins(seed);
  for (auto& [name, tensor] : tensors) {
    if (tensor.scalar_type() != at::kFloat || name.find(".running_") != std::string::npos) continue;
    tensor = tensor.contiguous().clone();
    float* const values = tensor.mutable_data_ptr<float>();
    for (int64_t i = 0; i < tensor.numel(); ++i) values[i] = std::nextafter(values[i], (coins() & 1) != 0 ? HUGE_VALF : -HUGE_VALF);
  }
}

/// {rank, processes, port, dead?}, on the loopback.
std::unique_ptr<ProcessGroup> group_of(const Napi::Value& membership) {
  if (!membership.IsObject()) return nullptr;
  const auto number = [js = membership.As<Napi::Object>()](const char* name) { return js.Get(name).As<Napi::Number>().Int32Value(); };
  Membership member{number("rank"), number("processes"), "127.0.0.1", number("port"), false, "", 60};
  if (membership.As<Napi::Object>().Has("dead")) member.dead = std::chrono::seconds(number("dead"));
  return std::make_unique<ProcessGroup>(member);
}

Napi::Object targets_to_js(Napi::Env env, const Batch& batch, int64_t classes) {
  const int size = static_cast<int>(batch.x.size(2));
  const int64_t cells = (size + kFeatureStride - 1) / kFeatureStride;
  const Targets targets = make_targets(batch.boxes, {classes, cells, cells, size, size});
  Napi::Object out = Napi::Object::New(env);
  for (const auto& [name, corner] : {std::pair("topleft", &targets.tl), std::pair("bottomright", &targets.br)}) {
    out.Set(std::string(name) + "_heatmap", to_js(env, corner->heat));
    out.Set(std::string(name) + "_offset", to_js(env, corner->offset));
    out.Set(std::string(name) + "_cells", to_js(env, std::vector<double>(corner->cells.begin(), corner->cells.end())));
  }
  return out;
}

Napi::Object report_to_js(Napi::Env env, const StepReport& report) {
  Napi::Object out = Napi::Object::New(env);
  out.Set("det_loss", to_js(env, report.det));
  out.Set("pull_loss", to_js(env, report.pull));
  out.Set("push_loss", to_js(env, report.push));
  out.Set("off_loss", to_js(env, report.off));
  out.Set("total", report.total);
  out.Set("gradient_norm", report.gradient_norm);
  return out;
}

/// By name, undone what clipping did.
Napi::Object gradients_to_js(Napi::Env env, const Learner& learner, double norm) {
  Napi::Object out = Napi::Object::New(env);
  const double unclipped = std::max(1.0, (norm + 1e-6) / 35);
  for (const auto& [name, tensor] : learner.tensors()) {
    if (tensor.requires_grad() && tensor.grad().defined()) out.Set(name, to_js(env, tensor.grad().to(at::kDouble).mul(unclipped)));
  }
  return out;
}

Napi::Object heads_to_js(Napi::Env env, const CornerNetConfig& config, const Learner& learner, const at::Tensor& x) {
  const at::NoGradGuard still;
  CornerNet network(config);
  assign_parameters(network, learner.tensors());
  const HeadMaps maps = network.forward(x.slice(0, 0, 1));
  Napi::Object out = Napi::Object::New(env);
  for (const auto& [name, corner] : {std::pair("tl", &maps.tl), std::pair("br", &maps.br)}) {
    out.Set(std::string(name) + "_heat", to_js(env, corner->heat));
    out.Set(std::string(name) + "_emb", to_js(env, corner->emb));
    out.Set(std::string(name) + "_off", to_js(env, corner->off));
  }
  return out;
}

}  // namespace

Napi::Value train_as(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  try {
    const Threads one(1);  // the maps are so small that a second one only waits
    const auto setting = info[0].As<Napi::Object>();
    const auto batches = setting.Get("batches").As<Napi::Array>();
    const auto type = setting.Get("fp64").ToBoolean() ? at::kDouble : at::kFloat;
    const Checkpoint checkpoint = load_checkpoint(setting.Get("start").As<Napi::String>());
    const auto classes = static_cast<size_t>(setting.Get("classes").As<Napi::Number>().Int32Value());
    Beginning beginning = take_over(checkpoint, checkpoint.meta.classes.empty() ? std::vector<std::string>(classes) : checkpoint.meta.classes, 0);
    for (auto& [name, tensor] : beginning.tensors) {
      if (tensor.is_floating_point()) tensor = tensor.to(type);
    }
    if (const Napi::Value seed = setting.Get("nudges"); seed.IsNumber()) nudge(beginning.tensors, seed.As<Napi::Number>().Uint32Value());
    const auto group = group_of(setting.Get("membership"));
    Learner learner(beginning.config, beginning.tensors, Frozen{false, setting.Get("freezeNorms").ToBoolean()});
    if (group) learner.share(*group);
    Napi::Array steps = Napi::Array::New(env), targets = Napi::Array::New(env), gradients = Napi::Array::New(env);
    at::Tensor first;
    for (uint32_t i = 0; i < batches.Length(); ++i) {
      const Batch batch = batch_of(batches.Get(i).As<Napi::Object>(), type);
      if (i == 0) first = batch.x;
      if (const Napi::Value stopped = setting.Get("stoppedAt"); stopped.IsNumber() && stopped.As<Napi::Number>().Uint32Value() == i) ::raise(SIGSTOP);
      const StepReport report = learner.differentiate(batch.x, batch.boxes);
      steps.Set(i, report_to_js(env, report));
      if (!batch.boxes.empty()) targets.Set(i, targets_to_js(env, batch, static_cast<int64_t>(classes)));
      if (i < setting.Get("gradients").As<Napi::Number>().Uint32Value()) gradients.Set(i, gradients_to_js(env, learner, report.gradient_norm));
      learner.update(batch.learning_rate);
    }
    Napi::Object tensors = Napi::Object::New(env), out = Napi::Object::New(env);
    for (const auto& [name, tensor] : learner.tensors()) tensors.Set(name, to_js(env, tensor));
    out.Set("steps", steps);
    out.Set("targets", targets);
    out.Set("gradients", gradients);
    out.Set("tensors", tensors);
    if (first.size(0) > 0) out.Set("heads", heads_to_js(env, beginning.config, learner, first));
    return out;
  } catch (const std::exception& error) {
    throw Napi::Error::New(env, error.what());
  }
}

Napi::Value gaussian_radius_of(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), gaussian_radius(info[0].As<Napi::Number>(), info[1].As<Napi::Number>()));
}

}  // namespace cornernet::testing
