// The JavaScript class around one network that learns: lib/native.ts's NativeTrainer.
#include <cmath>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "addon/wrap.h"
#include "runtime/error.h"
#include "train/trainer.h"

namespace cornernet::train {

// The members that cross, by the names that lib/native.ts explains; found by their argument's namespace.
void fields(Is<Architecture> auto& a, auto&& field) {
  each(field, "stacks", a.stacks, "stemChannels", a.stem_channels, "featChannels", a.feat_channels, "stageChannels", a.stage_channels, "stageBlocks",
       a.stage_blocks, "poolChannels", a.pool_channels, "branchChannels", a.branch_channels);
}
void fields(Is<TrainerOptions> auto& options, auto&& field) {
  each(field, "from", options.from, "architecture", options.architecture, "classes", options.classes, "device", options.device, "precision",
       options.precision, "threads", options.threads, "seed", options.seed, "freezeBackbone", options.freeze_backbone, "freezeNorms",
       options.freeze_norms, "recompute", options.recompute);
}
void fields(Is<Membership> auto& m, auto&& field) {
  each(field, "rank", m.rank, "processes", m.processes, "address", m.address, "port", m.port, "hosted", m.hosted, "prefix", m.prefix, "seconds",
       m.seconds);
}
void fields(Is<TrainerInfo> auto& info, auto&& field) {
  each(field, "device", info.device, "threads", info.threads, "classes", info.classes, "parameters", info.parameters, "iteration", info.iteration,
       "taken", info.taken, "drawn", info.drawn, "hasMoments", info.has_moments, "sums", info.sums);
}
void fields(Is<Augmentation> auto& augmentation, auto&& field) {
  each(field, "enabled", augmentation.enabled, "size", augmentation.size_px, "mirrors", augmentation.mirrors);
}
void fields(Is<StepReport> auto& report, auto&& field) {
  each(field, "det", report.det, "pull", report.pull, "push", report.push, "off", report.off, "total", report.total, "gradientNorm",
       report.gradient_norm, "pictures", report.pictures, "deviceBytes", report.device_bytes, "stop", report.stop);
}
void fields(Is<SaveOptions> auto& options, auto&& field) {
  each(field, "path", options.path, "iteration", options.iteration, "epoch", options.epoch, "learningRate", options.learning_rate, "optimizer",
       options.optimizer);
}

}  // namespace cornernet::train

namespace cornernet {
namespace {

using namespace train;

constexpr uint32_t kMostSamples = 1024;
constexpr size_t kBoxNumbers = 5;  // x1, y1, x2, y2, class id

std::vector<TruthBox> boxes_from_js(const Napi::Value& value) {
  const std::vector<float> numbers = floats_from_js(value, "boxes");
  if (numbers.size() % kBoxNumbers != 0) throw Error(ErrorCode::Input, "boxes must be five numbers each: x1, y1, x2, y2, class id");
  std::vector<TruthBox> boxes;
  for (auto v = numbers.begin(); v != numbers.end(); v += kBoxNumbers) {
    constexpr float kMostClasses = 1 << 16;
    if (!(v[4] >= 0 && v[4] < kMostClasses && v[4] == std::trunc(v[4]))) throw Error(ErrorCode::Input, "a box's class id must be a whole number");
    boxes.push_back({v[0], v[1], v[2], v[3], static_cast<int>(v[4])});
  }
  return boxes;
}

std::vector<Sample> samples_from_js(const Napi::Value& value) {
  if (!value.IsArray() || value.As<Napi::Array>().Length() > kMostSamples) refuse("samples", "an array of at most 1024 pictures with their boxes");
  const Napi::Array list = value.As<Napi::Array>();
  std::vector<Sample> samples;
  for (uint32_t i = 0; i < list.Length(); ++i) {
    const Napi::Value sample = list.Get(i);
    if (!sample.IsObject()) refuse("a sample", "an object");
    const Napi::Object js = sample.As<Napi::Object>();
    samples.push_back(
        {picture_from_js(js.Get("picture")), boxes_from_js(js.Get("boxes")), static_cast<uint64_t>(from_js<int64_t>(js.Get("seed"), "seed"))});
  }
  return samples;
}

/// What the channel's two threads work on; whoever has taken something from here keeps it alive.
class TrainerState {
 public:
  void set_group(std::shared_ptr<ProcessGroup> group) {
    const std::lock_guard lock(mutex_);
    group_.swap(group);
  }

  /// Null before join(), and after the end.
  std::shared_ptr<ProcessGroup> group() const {
    const std::lock_guard lock(mutex_);
    return group_;
  }

  void set_trainer(std::shared_ptr<Trainer> trainer) {
    const std::lock_guard lock(mutex_);
    trainer_.swap(trainer);
    prepared_.clear();
  }

  std::shared_ptr<Trainer> trainer() const {
    const std::lock_guard lock(mutex_);
    if (!trainer_) throw Error(ErrorCode::Closed, "the training is closed or was never begun");
    return trainer_;
  }

  /// Under the id of the call that prepared it.
  void keep(int64_t id, std::shared_ptr<const PreparedBatch> batch) {
    const std::lock_guard lock(mutex_);
    prepared_[id] = std::move(batch);
  }

  std::shared_ptr<const PreparedBatch> take(int64_t id) {
    const std::lock_guard lock(mutex_);
    const auto found = prepared_.find(id);
    if (found == prepared_.end()) throw Error(ErrorCode::Input, "the batch was never prepared, or is learned already");
    auto batch = std::move(found->second);
    prepared_.erase(found);
    return batch;
  }

  void free() {
    set_trainer(nullptr);
    set_group(nullptr);
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<ProcessGroup> group_;
  std::shared_ptr<Trainer> trainer_;
  std::map<int64_t, std::shared_ptr<const PreparedBatch>> prepared_;  // by the trainer
};

class TrainerWrap : public Wrap<TrainerWrap, TrainerState> {
 public:
  static Napi::Function define(Napi::Env env, Channels* channels) {
    return Wrap::define(
        env, "Trainer",
        {InstanceMethod<&TrainerWrap::join>("join"), InstanceMethod<&TrainerWrap::exchange>("exchange"), InstanceMethod<&TrainerWrap::check>("check"),
         InstanceMethod<&TrainerWrap::leave>("leave"), InstanceMethod<&TrainerWrap::begin>("begin"), InstanceMethod<&TrainerWrap::prepare>("prepare"),
         InstanceMethod<&TrainerWrap::step>("step"), InstanceMethod<&TrainerWrap::save>("save")},
        channels);
  }
  explicit TrainerWrap(const Napi::CallbackInfo& info) : Wrap(info, "cornernet trainer") {}

 private:
  Napi::Value join(const Napi::CallbackInfo& info) {
    return first_call(info, [&] {
      return [membership = from_js<Membership>(info[0], "membership")](TrainerState& state) {
        state.set_group(std::make_shared<ProcessGroup>(membership));
      };
    });
  }

  Napi::Value exchange(const Napi::CallbackInfo& info) {
    return call(info, [&] {
      return [words = from_js<std::string>(info[1], "words")](TrainerState& state) {
        const auto group = state.group();
        require(group != nullptr, ErrorCode::Closed, "the training has joined no others");
        return group->exchange(words);
      };
    });
  }

  Napi::Value check(const Napi::CallbackInfo& info) {
    return call_aside(info, [] {
      return [](TrainerState& state) {
        if (const auto group = state.group()) group->check();
      };
    });
  }

  Napi::Value leave(const Napi::CallbackInfo& info) {
    return call(info, [&] {
      channel_->cancel(kFirstCall);  // which may wait for the others
      return [why = from_js<std::string>(info[1], "why")](TrainerState& state) {
        if (const auto group = state.group()) group->leave(why);
      };
    });
  }

  Napi::Value begin(const Napi::CallbackInfo& info) {
    return first_call(info, [&] {
      return [options = from_js<TrainerOptions>(info[0], "train options")](TrainerState& state) {
        state.set_trainer(nullptr);
        const auto trainer = std::make_shared<Trainer>(options, state.group());
        state.set_trainer(trainer);
        return trainer->info();
      };
    });
  }

  Napi::Value prepare(const Napi::CallbackInfo& info) {
    return call_aside(info, [&] {
      auto samples = std::make_shared<std::vector<Sample>>(samples_from_js(info[1]));
      return [id = call_id(info), samples = std::move(samples), augmentation = from_js<Augmentation>(info[2], "augmentation")](TrainerState& state) {
        state.keep(id, state.trainer()->prepare(*samples, augmentation));
        return id;
      };
    });
  }

  Napi::Value step(const Napi::CallbackInfo& info) {
    return call(info, [&] {
      const bool stop = !info[3].IsUndefined() && from_js<bool>(info[3], "stop");
      return [batch = from_js<int64_t>(info[1], "batch"), rate = from_js<double>(info[2], "learningRate"), stop](TrainerState& state) {
        return state.trainer()->step(*state.take(batch), rate, stop);
      };
    });
  }

  Napi::Value save(const Napi::CallbackInfo& info) {
    return call(info,
                [&] { return [options = from_js<SaveOptions>(info[1], "save options")](TrainerState& state) { state.trainer()->save(options); }; });
  }
};

}  // namespace

Napi::Function define_trainer(Napi::Env env, Channels* channels) { return TrainerWrap::define(env, channels); }

}  // namespace cornernet
