// The places where the network makes a map: what each is called, what an int8 network keeps it in, and who looks on.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <optional>
#include <string>

#include "ops/quantized.h"

namespace cornernet {

/// One such place. Its map has 8 bits in an int8 network that has a scale for it, and is left as it was computed otherwise.
class Activation {
 public:
  /// `wide`: the type of the network's maps that are not of 8 bits. scale: above 0, or 0 for none.
  void prepare(std::string name, at::ScalarType wide, double scale);
  const std::string& name() const { return name_; }
  void set_scale(double scale) { scale_ = scale; }
  /// What its map gets 8 bits with, if it does: 0 is byte 0, or byte 128 of a map with numbers on both sides of it.
  std::optional<Affine> affine(bool has_sign = false) const;

  /// The map as the network keeps it.
  at::Tensor kept(at::Tensor map, bool has_sign = false) const;
  /// Tells who looks on that what makes this map reads `map`.
  void reads(const at::Tensor& map) const;
  /// Of what is read here: in the network's wide type when it has 8 bits.
  at::Tensor widened(const at::Tensor& map) const;
  /// Of a map without data: what kept() makes of one whose inputs are as `map`.
  at::ScalarType noted_type(const at::Tensor& map) const;

 private:
  std::string name_;
  at::ScalarType wide_ = at::kFloat;
  double scale_ = 0;
};

/// Whether a map, be it without data, has 8 bits.
inline bool in_8_bits(const at::Tensor& map) { return map.element_size() == 1; }

/// Called, on this thread while `forward` runs, with each map that the layers make, in their order, and with each that a convolution reads.
struct ActivationObserver {
  std::function<void(const Activation& place, const at::Tensor& map, bool has_sign)> made;
  std::function<void(const Activation& reader, const at::Tensor& map)> read;  // may be empty
};
void observe_activations(const ActivationObserver& observer, const std::function<void()>& forward);

}  // namespace cornernet
