// How large a map's numbers are, and which of them 8 bits are best spent on.
#pragma once
#include <cstdint>
#include <vector>

namespace cornernet::quantization {

/// How the largest number is chosen that 8 bits still tell apart: the largest seen; one that a part of the numbers stays below; the one with the
/// least squared error; the one whose rounded distribution is nearest (least Kullback-Leibler divergence).
enum class Method { Largest, Percentile99999, Percentile9999, Percentile999, SquaredError, Entropy };
/// In that order.
constexpr struct {
  Method method;
  const char* name;  // as the report has it
  double below;      // the part of the numbers that stays below; 0 of what is searched for
} kMethods[] = {{Method::Largest, "largest", 1},
                {Method::Percentile99999, "99.999th percentile", 0.99999},
                {Method::Percentile9999, "99.99th percentile", 0.9999},
                {Method::Percentile999, "99.9th percentile", 0.999},
                {Method::SquaredError, "least squared error", 0},
                {Method::Entropy, "entropy", 0}};

/// Of magnitudes. The range doubles, two bins becoming one, as larger numbers come.
class Histogram {
 public:
  void add(const float* values, int64_t count, float largest);

  /// Above 0, whatever was added. has_sign: the numbers lie on both sides of 0 and share the 8 bits.
  double scale(Method method, bool has_sign) const;
  /// The root of the mean squared error of 8 bits with this scale, as a fraction of that of the numbers themselves.
  double rounding(double scale, bool has_sign) const;

 private:
  static constexpr int64_t kBins = 4096;
  double middle(int64_t bin) const { return (static_cast<double>(bin) + 0.5) * static_cast<double>(range_) / kBins; }
  double percentile(double part) const;
  double squared_error(double scale, int levels) const;
  double divergence(double clip, int levels) const;

  std::vector<double> counts_ = std::vector<double>(kBins);
  float range_ = 0, largest_ = 0;
  double zeros_ = 0, total_ = 0;
};

}  // namespace cornernet::quantization
