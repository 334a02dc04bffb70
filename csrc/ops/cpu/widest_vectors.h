// Runs a loop in a copy compiled for the widest vectors of this very CPU, while the build itself stays portable.
#pragma once

namespace cornernet::cpu {

// flatten: what the loop calls must be compiled into the copy too, or it stays at the portable build's 16-byte vectors.
template <typename Loop>
[[gnu::target("avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512"), gnu::flatten]] void run_avx512(const Loop& loop) {
  loop();
}

template <typename Loop>
[[gnu::target("avx2"), gnu::flatten]] void run_avx2(const Loop& loop) {
  loop();
}

enum class VectorLevel { Portable, Avx2, Avx512 };

/// The level in use: this CPU's best. Tests lower it while no kernel runs.
inline VectorLevel& vector_level() {
  static VectorLevel level = __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")
                                 ? VectorLevel::Avx512
                             : __builtin_cpu_supports("avx2") ? VectorLevel::Avx2
                                                              : VectorLevel::Portable;
  return level;
}

/// loop() takes nothing and returns nothing. No clone may contract a * b + c: results are the same on every CPU.
template <typename Loop>
void with_widest_vectors(const Loop& loop) {
  switch (vector_level()) {
    case VectorLevel::Avx512:
      return run_avx512(loop);
    case VectorLevel::Avx2:
      return run_avx2(loop);
    case VectorLevel::Portable:
      return loop();
  }
}

}  // namespace cornernet::cpu
