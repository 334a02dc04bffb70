// The facade of calibration: from a checkpoint and pictures to a checkpoint whose network computes in 8 bits. Plain structs, no torch. Everything it
// throws is a cornernet::Error.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/detector.h"

namespace cornernet::quantization {

struct QuantizerOptions {
  std::string path;
  int threads = 0;  // 0: the cores this process may use
  /// The part of the network's operations that sensitive layers may take back to 16 bits, 0 to 1. With 0 only maps do whose readers compute in 16
  /// bits anyway, or add them.
  double wide_share = 0;
};

/// A way to compute that was tried on the probes.
struct Trial {
  std::string what;
  double error = 0;     // of the heads' maps against fp32's: the root of the squared difference by that of the map, the mean of the six maps
  bool chosen = false;  // of all that came before, the best
};

/// A convolution or a sum of maps.
struct LayerReport {
  std::string name, op;
  bool int8 = false;    // whether it computes in 8 bits
  double scale = 0;     // of its map, 0 where that is not of 8 bits
  double rounding = 0;  // the error that rounding its map to 8 bits makes, as a fraction of the map
  double error = 0;     // of its map in the int8 network against fp32's, all layers before it included
  double share = 0;     // of the network's operations
};

struct HeadError {
  std::string name;  // "tlHeat" ...
  double error = 0;
};

struct QuantizeReport {
  int pictures = 0, probes = 0;
  std::vector<Trial> trials;
  std::vector<LayerReport> layers;
  std::vector<HeadError> heads;
  double int8_share = 0;  // of the network's operations
};

/// Not thread-safe: one thread calls it. First observe() of every picture, then try_next() until there is nothing left to try, then write().
class Quantizer {
 public:
  /// Error(Device) on a CPU without VNNI or AMX.
  explicit Quantizer(const QuantizerOptions& options);
  ~Quantizer();
  /// Looks at what the fp32 network makes of the picture; the first ones become the probes on which ways are tried.
  void observe(const Picture& picture);
  /// Tries the next way; none when all are tried. Error(Input) when nothing was observed, or maps were not finite.
  std::optional<Trial> try_next();
  /// Writes the best way's checkpoint at this path, which is to be a name aside. Error(Write).
  QuantizeReport write(const std::string& path);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cornernet::quantization
