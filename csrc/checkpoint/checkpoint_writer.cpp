#include "checkpoint/checkpoint_writer.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/scalar_tensor.h>
#include <caffe2/serialize/inline_container.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>
#include <vector>

#include "checkpoint/pickle_writer.h"
#include "runtime/error.h"
#include "runtime/interrupt.h"

namespace cornernet {
namespace {

/// A file of which nothing is left unless all of it is on the disk.
class FileOnDisk {
 public:
  explicit FileOnDisk(const std::string& path)
      : path_(path), file_(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666)) {
    if (file_ < 0) fail();
  }
  ~FileOnDisk() {
    if (file_ >= 0) ::close(file_);
    if (!committed_) ::unlink(path_.c_str());
  }
  FileOnDisk(const FileOnDisk&) = delete;
  FileOnDisk& operator=(const FileOnDisk&) = delete;

  /// False once it failed; check() says why.
  bool write(const void* data, size_t size) {
    const auto* bytes = static_cast<const char*>(data);
    while (size > 0 && failure_ == 0) {
      const ssize_t written = ::write(file_, bytes, size);
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) {
        failure_ = written < 0 ? errno : EIO;
        break;
      }
      bytes += written;
      size -= static_cast<size_t>(written);
    }
    return failure_ == 0;
  }
  void check() {
    if (failure_ == 0) return;
    errno = failure_;
    fail();
  }
  void commit() {
    check();
    if (::fsync(file_) != 0 || ::close(std::exchange(file_, -1)) != 0) fail();
    committed_ = true;
  }

 private:
  [[noreturn]] static void fail() { throw Error(ErrorCode::Write, std::generic_category().message(errno)); }

  std::string path_;
  int file_;
  int failure_ = 0;
  bool committed_ = false;
};

/// Tensors as they lie in a file, each in the memory of the one before: all of them would take as much memory again, and what is freed does not
/// always fit the next.
class DenseCopy {
 public:
  /// Holds until the next one.
  at::Tensor of(const at::Tensor& tensor) {
    if (tensor.is_cpu() && tensor.is_contiguous()) return tensor;
    if (!memory_.defined() || memory_.nbytes() < tensor.nbytes()) memory_ = at::empty({static_cast<int64_t>(tensor.nbytes())}, at::kByte);
    return at::from_blob(memory_.mutable_data_ptr(), tensor.sizes(), at::TensorOptions(tensor.scalar_type())).copy_(tensor);
  }

 private:
  at::Tensor memory_;
};

/// The object's pickle, and the tensors, as they are, whose elements go beside it, by their storages' keys.
class Pickled {
 public:
  explicit Pickled(const CheckpointContent& content) {
    const auto& [checkpoint, adam, parameters] = content;
    out_.begin_dict();
    out_.entry("meta");
    write_meta(checkpoint.meta);
    out_.entry("state_dict");
    out_.begin_ordered_dict();
    for (const auto& [name, tensor] : checkpoint.tensors) write(name, tensor);
    out_.end_dict();
    if (!checkpoint.quantization.empty()) {
      out_.entry("quantization");
      out_.begin_ordered_dict();
      for (const auto& [name, tensor] : checkpoint.quantization) write(name, tensor);
      out_.end_dict();
    }
    if (!checkpoint.moments.empty() || checkpoint.loss_scaling) {
      out_.entry("optimizer");
      write_optimizer(checkpoint, adam, parameters);
    }
    out_.end_dict();
  }
  std::string finish() { return out_.finish(); }
  const std::vector<std::pair<std::string, at::Tensor>>& storages() const { return storages_; }
  /// Of one of them, until the next.
  at::Tensor dense(const at::Tensor& tensor) { return dense_.of(tensor); }

 private:
  void write(std::string_view name, const at::Tensor& tensor) {
    check_interrupted();
    if (!is_sound(tensor.is_cpu() ? tensor : dense_.of(tensor)))
      throw Error(ErrorCode::Input, std::string(name) + " is not finite any more, or nearly, so that nothing is written");
    out_.entry(name);
    storages_.emplace_back(out_.tensor(tensor), tensor);
  }

  void write_classes(std::string_view name, const std::vector<std::string>& classes) {
    out_.entry(name);
    out_.begin_tuple();
    for (const std::string& one : classes) out_.text(one);
    out_.end_tuple();
  }

  /// Names of both of mmdetection's versions.
  void write_meta(const CheckpointMeta& meta) {
    out_.begin_dict();
    out_.entry("epoch", meta.epoch);
    out_.entry("iter", meta.iteration);
    write_classes("CLASSES", meta.classes);
    out_.entry("dataset_meta");
    out_.begin_dict();
    write_classes("classes", meta.classes);
    out_.end_dict();
    out_.entry("config", meta.config);
    out_.entry("cfg", meta.config);
    out_.end_dict();
  }

  void write_optimizer(const Checkpoint& checkpoint, const AdamSettings& adam, int64_t parameters) {
    out_.begin_dict();
    out_.entry("state");
    out_.begin_dict();
    for (const auto& [place, of_parameter] : checkpoint.moments) {
      out_.integer(place);
      out_.begin_dict();
      write("step", at::scalar_tensor(of_parameter.steps, at::kFloat));
      write("exp_avg", of_parameter.exp_avg);
      write("exp_avg_sq", of_parameter.exp_avg_sq);
      out_.end_dict();
    }
    out_.end_dict();
    out_.entry("param_groups");
    out_.begin_list();
    write_group(adam, parameters);
    out_.end_list();
    if (checkpoint.loss_scaling) write_loss_scaling(*checkpoint.loss_scaling);
    out_.end_dict();
  }

  /// As GradScaler does, with its rule.
  void write_loss_scaling(const LossScaling& scaling) {
    out_.entry("loss_scaler");
    out_.begin_dict();
    out_.entry("scale", scaling.factor);
    out_.entry("growth_factor", 2.0);
    out_.entry("backoff_factor", 0.5);
    out_.entry("growth_interval", kScalePatience);
    out_.entry("_growth_tracker", scaling.borne);
    out_.end_dict();
  }

  void write_group(const AdamSettings& adam, int64_t parameters) {
    out_.begin_dict();
    out_.entry("lr", adam.learning_rate);
    out_.entry("betas");
    out_.begin_tuple();
    out_.real(adam.beta1);
    out_.real(adam.beta2);
    out_.end_tuple();
    out_.entry("eps", adam.epsilon);
    out_.entry("weight_decay", 0.0);
    for (const char* off : {"amsgrad", "maximize", "capturable", "differentiable", "decoupled_weight_decay"}) out_.entry(off, false);
    for (const char* unset : {"foreach", "fused"}) out_.entry(unset), out_.none();
    out_.entry("params");
    out_.begin_list();
    for (int64_t i = 0; i < parameters; ++i) out_.integer(i);
    out_.end_list();
    out_.end_dict();
  }

  pickle::Writer out_;
  DenseCopy dense_;
  std::vector<std::pair<std::string, at::Tensor>> storages_;
};

}  // namespace

void write_checkpoint(const std::string& path, const CheckpointContent& content) {
  Pickled pickled(content);  // first: it may refuse
  FileOnDisk file(path);
  {
    // The writer's clean-up can't bear a failure (it would throw once more), so it is told that all went well and the file knows better.
    caffe2::serialize::PyTorchStreamWriter zip([&](const void* data, size_t size) {
      file.write(data, size);
      return size;
    });
    const auto record = [&](const std::string& name, const void* data, size_t size) {
      check_interrupted();  // after the file was made, which who gave the writing up may have deleted before
      zip.writeRecord(name, data, size);
      file.check();
    };
    const std::string object = pickled.finish();
    record("data.pkl", object.data(), object.size());
    record("byteorder", "little", 6);
    for (const auto& [key, tensor] : pickled.storages()) {
      const at::Tensor dense = pickled.dense(tensor);
      record("data/" + key, dense.const_data_ptr(), dense.nbytes());
    }
    zip.writeEndOfFile();
  }
  file.commit();
}

}  // namespace cornernet
