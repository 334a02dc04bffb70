#include "nn/activation.h"

#include <utility>

namespace cornernet {
namespace {

constexpr int64_t kMiddleByte = 128;

thread_local const ActivationObserver* looking_on = nullptr;

}  // namespace

void observe_activations(const ActivationObserver& observer, const std::function<void()>& forward) {
  looking_on = &observer;
  const struct Stop {
    ~Stop() { looking_on = nullptr; }
  } stop;
  forward();
}

void Activation::prepare(std::string name, at::ScalarType wide, double scale) {
  name_ = std::move(name);
  wide_ = wide;
  scale_ = scale;
}

std::optional<Affine> Activation::affine(bool has_sign) const {
  if (scale_ <= 0) return std::nullopt;
  return Affine{scale_, has_sign ? kMiddleByte : 0};
}

at::Tensor Activation::kept(at::Tensor map, bool has_sign) const {
  if (looking_on != nullptr) looking_on->made(*this, map, has_sign);
  const auto to = affine(has_sign);
  return to && !map.is_quantized() ? quantize(map, *to) : map;
}

void Activation::reads(const at::Tensor& map) const {
  if (looking_on != nullptr && looking_on->read) looking_on->read(*this, map);
}

at::Tensor Activation::widened(const at::Tensor& map) const { return map.is_quantized() ? dequantize(map, wide_) : map; }

at::ScalarType Activation::noted_type(const at::Tensor& map) const {
  if (affine()) return at::kByte;
  return in_8_bits(map) ? wide_ : map.scalar_type();
}

}  // namespace cornernet
