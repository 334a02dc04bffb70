// The layers all of CornerNet is made of: a normalised convolution and the residual block of two of them.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "nn/activation.h"
#include "ops/conv.h"
#include "ops/quantized_conv.h"

namespace cornernet {

/// A tensor of the state dict: its full key, its shape, and where it is kept.
struct Parameter {
  std::string name;
  std::vector<int64_t> shape;
  at::Tensor* slot;
  /// A batch norm's num_batches_tracked: older checkpoints lack it and inference doesn't read it.
  bool optional = false;
  /// A batch norm's statistics, which training measures instead of learning.
  bool statistic = false;
};

/// Gives the numbers of a parameter that a network holds: those of a checkpoint stay in its file until then. Called once for each, on any thread.
using TensorReader = std::function<at::Tensor(const at::Tensor&)>;

/// What a calibrated checkpoint says of one layer of its int8 network.
struct Int8Layer {
  at::Tensor weight_scale;  // fp32 [out] of a convolution that computes in 8 bits, else undefined
  at::Tensor bias_shift;    // fp32 [out], added to its bias; undefined for none
  double output_scale = 0;  // of what it makes; 0 where that is not of 8 bits
};
/// By Activation::name().
using Int8Layers = std::unordered_map<std::string, Int8Layer>;

/// Whether prepare() adds biases beforehand where results are added, and pads convolutions with one or two outputs or, in 16 bits, with three inputs.
/// On a GPU that spares passes of their own for biases, and matrix units take eight of either anyway. oneDNN on the CPU adds biases for nothing:
/// there every sum stays as it is. Convolutions that read the same map stay apart on either: one with more outputs than inputs can't be fused with
/// its bias and ReLU on a GPU (PackedConv), whose two passes cost an H200 several times what reading the map again does.
enum class Merging { None, All };

/// How a network becomes ready for inference.
struct Preparation {
  at::ScalarType dtype = at::kFloat;  // of everything but what `int8` names
  at::Device device = at::kCPU;
  TensorReader read = {};
  const Int8Layers* int8 = nullptr;
  /// Convolutions in 8 bits are kept in `dtype` too, and compute in what their input is of: calibration tries both.
  bool both = false;
  std::optional<Merging> merging = {};  // by default All on CUDA
  /// What the checkpoint says of this layer in 8 bits; nothing of others.
  Int8Layer stated(const std::string& name) const;
};

/// act(norm(conv(x))), with the checkpoint's own names for its conv and norm. Holds the checkpoint's tensors until prepare() folds and packs them.
class NormedConv {
 public:
  struct Dimensions {
    int64_t in_channels, out_channels, kernel_size, stride = 1;
  };
  /// An empty norm_name makes a convolution with a bias of its own and no norm.
  NormedConv(Dimensions dimensions, std::string conv_name, std::string norm_name, bool relu);

  void collect(const std::string& prefix, std::vector<Parameter>& parameters);
  /// Folds the norm into weight and bias (in fp64, then cast) and packs both; the checkpoint's tensors are released.
  /// Throws Error(Checkpoint) that names, under `prefix`, a variance below 0.
  void prepare(const std::string& prefix, const Preparation& how);
  /// Weight, fp32 or `dtype`, and bias, fp64, with the norm in them, of the tensors that it still holds.
  struct Folded {
    at::Tensor weight, bias;
  };
  Folded folded(const std::string& prefix, at::ScalarType dtype, const TensorReader& read = {}) const;
  /// After prepare(), where this one adds the result of `other`: adds its bias too, in fp64, so that `other` needs none.
  void take_bias_of(NormedConv& other);
  /// After prepare(): adds outputs, of no meaning, up to a multiple.
  void pad_outputs(int64_t multiple_of);
  /// After prepare(): reads `channels`, the first behind its own being 1 (PackedConv::with_bias_as_input).
  void pad_inputs(int64_t channels);
  int64_t in_channels() const { return packed_.defined() ? packed_.in_channels() : dimensions_.in_channels; }
  /// Lets go of the checkpoint's tensors.
  void release();

  /// Before prepare(): whether the norm takes its batch's statistics, and keeps a running mean of them, or the ones that it holds.
  void set_training(bool training) { training_ = training; }

  /// x: [N, in, H, W]. Before prepare() the layers run one by one and can be differentiated; weights are cast to x's type for the convolution.
  at::Tensor forward(const at::Tensor& x) const;
  /// relu(norm(conv(x)) + residual), which may be written `over` where nobody else needs it.
  at::Tensor forward_add_relu(const at::Tensor& x, const at::Tensor& residual, bool over = false) const;

  int64_t weight_bytes() const { return packed_.weight_bytes() + int8_.weight_bytes(); }
  const Dimensions& dimensions() const { return dimensions_; }
  /// The key of its weight without ".weight".
  std::string name(const std::string& prefix) const { return prefix + conv_name_; }
  Activation& output() { return output_; }
  QuantizedConv& int8() { return int8_; }

 private:
  /// Before prepare(): [relu](norm(conv(x)) [+ residual]), the sum with a norm only.
  at::Tensor unfused(const at::Tensor& x, const at::Tensor& residual, bool relu) const;
  /// Of a convolution in 8 bits; the result is, too, where it has a scale.
  at::Tensor int8_add_relu(const at::Tensor& x, const at::Tensor& residual, bool over) const;
  /// For an input without data: the result's shape, and the work noted (nn/work_log.h). Throws Error(Checkpoint) where the layer can't read the
  /// input.
  at::Tensor noted(const at::Tensor& x, bool residual) const;

  Dimensions dimensions_;
  std::string conv_name_, norm_name_;
  bool relu_;
  bool training_ = false;
  at::Tensor weight_, bias_;                                                        // the conv's; bias only without a norm
  at::Tensor norm_weight_, norm_bias_, running_mean_, running_var_, batches_seen_;  // the norm's
  PackedConv packed_;
  at::Tensor folded_bias_;  // packed_'s, in fp64
  QuantizedConv int8_;
  Activation output_;
};

/// Called with the key prefix and each convolution of a module, in the state dict's order, and with the name and place of each sum of its maps.
struct Visitor {
  std::function<void(const std::string& prefix, NormedConv& conv)> conv;
  std::function<void(const std::string& name, Activation& sum)> sum = [](const std::string&, Activation&) {};
};

/// mmdetection's ConvModule: "conv" and "bn" (or "conv" with a bias).
NormedConv conv_module(NormedConv::Dimensions dimensions, bool norm = true, bool relu = true);

/// Two 3x3 convolutions and the way around them, which has a 1x1 convolution where the shape changes.
class BasicBlock {
 public:
  BasicBlock(int64_t in_channels, int64_t out_channels, int64_t stride);
  void visit(const std::string& prefix, const Visitor& visitor);
  /// After prepare().
  void merge();
  /// `last`: nobody else needs x, which may be written over.
  at::Tensor forward(const at::Tensor& x, bool last = false) const;

 private:
  NormedConv conv1_, conv2_;
  std::optional<NormedConv> downsample_;
};

/// A sequence of blocks. The channel change and the stride are the first block's, or (`change_last`) the channel change the last one's.
class ResLayer {
 public:
  ResLayer(int64_t in_channels, int64_t out_channels, int64_t num_blocks, int64_t stride = 1, bool change_last = false);
  void visit(const std::string& prefix, const Visitor& visitor);
  void merge();
  at::Tensor forward(at::Tensor x) const;

 private:
  std::vector<BasicBlock> blocks_;
};

}  // namespace cornernet
