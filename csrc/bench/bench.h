// The facade of the operators' benchmark: plain structs, no torch. Everything it throws is a cornernet::Error.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "ops/work.h"

namespace cornernet::bench {

/// Where and how long to measure.
struct Setting {
  std::string device = "cpu";      // as LoadOptions
  std::string precision = "fp32";  // "fp32", "bf16", "fp16"; "int8" on the CPU
  int threads = 0;                 // 0: the cores this process may use
  double seconds = 1;              // for all candidates together
};

/// One way to compute an operator. Seconds of a call, one entry a round; the candidates take turns in every round.
struct Timing {
  std::string name;                  // "ours", "aten", "copy" (of as many bytes)
  std::vector<double> back_to_back;  // calls one after the other on the same tensors
  std::vector<double> cold;          // single calls, each after cold_bytes were written elsewhere
};

struct Report {
  std::vector<Timing> candidates;
  int64_t cold_bytes = 0;
  double largest_error = 0;  // of the verification, as a fraction of what was allowed; at most 1
};

/// Holds the operator against the ATen composition that it replaces, in fp32, then times both. Error(Internal) when it is wrong,
/// Error(Option) for an operator that is unknown.
Report bench_operator(const Work& work, const Setting& setting);

/// What this machine can do at most: rates of one round each.
/// The best round is the peak; of several sizes of matrices the best one is returned.
struct PeakRates {
  std::vector<double> rates;  // matmul and conv: FLOP/s, copy: bytes/s (read and written)
  int64_t size = 0;           // matmul: the matrices' side, conv: channels, copy: bytes of each of the two buffers
};
/// "matmul": products of square matrices. "conv": a 3x3 convolution of 256 channels at 128x128, the same arithmetic, whose weights are packed once,
/// so that some libraries come closer to the machine's limit. "copy". Error(Option) for another word.
PeakRates measure_peak(const std::string& kind, const Setting& setting);

}  // namespace cornernet::bench
