// What the fp32 network makes of the calibration pictures, place by place, and what follows from it for 8 bits.
#pragma once
#include <ATen/core/Tensor.h>

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "nn/cornernet.h"
#include "quantize/histogram.h"

namespace cornernet::quantization {

/// Some of a map's numbers, the same ones each time, in fp32.
at::Tensor sampled(const at::Tensor& map);

/// What was seen of one place where the network makes a map.
struct Place {
  /// Of the map as it is, and with the block's inner scales equalised (which changes the maps between a block's convolutions only).
  Histogram plain, equalised;
  bool has_sign = false;
  std::vector<at::Tensor> samples;  // of each probe
};

class Calibration {
 public:
  /// `network` is prepared in fp32; weight_range: the largest weight that each block's second convolution has for each of its inputs, by the name of
  /// the first.
  Calibration(CornerNet& network, std::map<std::string, at::Tensor> weight_ranges);

  /// Decides the equalising factors on `inputs`, the probes, and looks at all that the network makes of them.
  void begin(const std::vector<at::Tensor>& inputs);
  void observe(const at::Tensor& input) { look(input, /*probe=*/false); }

  const std::map<std::string, Place>& places() const { return places_; }
  /// The mean of each channel that a convolution reads; undefined where it was never asked.
  at::Tensor input_mean(const std::string& conv) const;
  /// By the name of a block's first convolution: powers of two by which its outputs are divided and the second one's weights multiplied.
  const std::map<std::string, at::Tensor>& factors() const { return factors_; }
  /// fp32's maps of each probe.
  const std::vector<HeadMaps>& reference() const { return reference_; }
  /// The places of the network's results, and those that only the convolutions making these read.
  const std::set<std::string>& results() const { return results_; }
  const std::set<std::string>& before_results() const { return before_results_; }

 private:
  struct Mean {
    at::Tensor sum;  // fp64 [channels]
    double count = 0;
  };
  HeadMaps look(const at::Tensor& input, bool probe);

  const CornerNet& network_;
  std::map<std::string, at::Tensor> weight_ranges_, factors_;
  std::map<std::string, Place> places_;
  std::map<std::string, Mean> means_;
  std::vector<HeadMaps> reference_;
  std::set<std::string> results_, before_results_;
};

/// The names of a block's tensors, from one of its convolutions'.
inline std::string beside(const std::string& conv, const char* tensor) { return conv.substr(0, conv.size() - 5) + tensor; }

/// The six maps and what they are called.
std::vector<std::pair<std::string, at::Tensor>> named_maps(const HeadMaps& maps);

}  // namespace cornernet::quantization
