// The network on which calibration tries ways to compute: in 8 bits and in the wide type, whichever its maps are asked for, beside fp32's maps.
#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "quantize/calibration.h"
#include "quantize/quantizer.h"

namespace cornernet::quantization {

/// A way to compute.
struct Plan {
  Method method = Method::Largest;
  bool shifted = false, equalised = false;  // biases corrected; blocks' inner scales equalised
  std::set<std::string> wide;               // places whose maps have no 8 bits
};

class TrialNetwork {
 public:
  /// Of the checkpoint's tensors and what was seen; `probes` are inputs in fp32, those that the calibration began with. `wide` is what is not of 8
  /// bits.
  TrialNetwork(const CornerNetConfig& config, NamedTensors tensors, const Calibration& calibration, std::vector<at::Tensor> probes,
               at::ScalarType wide);

  /// Of the heads' maps of the probes, against fp32's: the root of the squared difference by that of the map, the mean of the six maps.
  double measure(const Plan& plan);
  /// The part of the operations that are not of 8 bits.
  double wide_share(const Plan& plan);
  /// The error that rounding the place's map makes, as a fraction of the map; 0 where that is not of 8 bits.
  double rounding_of(const Plan& plan, const std::string& place) const;
  /// All but the pictures and the trials.
  QuantizeReport report(const Plan& plan);
  /// What a checkpoint says of the layers that report(plan) has.
  Int8Layers layers(const Plan& plan, const std::vector<LayerReport>& reported);
  /// The checkpoint's, with the equalising factors in a block's norm and in its second convolution: powers of two, so that fp32 computes the same
  /// bits.
  NamedTensors tensors(bool equalised) const;

 private:
  void build(bool equalised);
  void apply(const Plan& plan);
  std::vector<Work> work(const Plan& plan);
  bool equalises(const Plan& plan, const std::string& place) const { return plan.equalised && calibration_.factors().contains(place); }
  const Histogram& histogram_of(const Plan& plan, const std::string& place) const;
  double scale_of(const Plan& plan, const std::string& place) const;

  CornerNetConfig config_;
  NamedTensors tensors_;
  const Calibration& calibration_;
  std::vector<at::Tensor> probes_;
  at::ScalarType wide_;

  std::unique_ptr<CornerNet> network_;
  bool equalised_ = false;                    // the network's tensors
  Int8Layers weights_;                        // of the network: every convolution's
  std::map<std::string, at::Tensor> biases_;  // without a shift
  /// By place, method, and whether it is equalised: entropy takes its time.
  mutable std::map<std::tuple<std::string, Method, bool>, double> scales_;
};

}  // namespace cornernet::quantization
