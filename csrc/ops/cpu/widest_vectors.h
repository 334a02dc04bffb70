// Runs a loop in a copy compiled for the widest vectors of this very CPU, while the build itself stays portable.
#pragma once

namespace cornernet::cpu {

enum class VectorLevel { Portable, Avx2, Avx512 };

#ifdef __x86_64__

// flatten: what the loop calls must be compiled into the copy too, or it stays at the portable build's 16-byte vectors.
template <typename Loop>
[[gnu::target("avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512"), gnu::flatten]] void run_avx512(const Loop& loop) {
  loop();
}

template <typename Loop>
[[gnu::target("avx2"), gnu::flatten]] void run_avx2(const Loop& loop) {
  loop();
}

inline VectorLevel widest_level() {
  if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) return VectorLevel::Avx512;
  return __builtin_cpu_supports("avx2") ? VectorLevel::Avx2 : VectorLevel::Portable;
}

#else  // every ARM64 has NEON, which the portable build uses

inline VectorLevel widest_level() { return VectorLevel::Portable; }

#endif

/// The level in use: this CPU's best. Tests lower it while no kernel runs.
inline VectorLevel& vector_level() {
  static VectorLevel level = widest_level();
  return level;
}

/// loop() takes nothing and returns nothing. No clone may contract a * b + c: results are the same on every CPU.
template <typename Loop>
void with_widest_vectors(const Loop& loop) {
#ifdef __x86_64__
  if (vector_level() == VectorLevel::Avx512) return run_avx512(loop);
  if (vector_level() == VectorLevel::Avx2) return run_avx2(loop);
#endif
  loop();
}

}  // namespace cornernet::cpu
