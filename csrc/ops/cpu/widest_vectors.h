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

/// loop() takes nothing and returns nothing. No clone may contract a * b + c: results are the same on every CPU.
template <typename Loop>
void with_widest_vectors(const Loop& loop) {
  static const bool avx512 = __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  static const bool avx2 = __builtin_cpu_supports("avx2");
  if (avx512) return run_avx512(loop);
  if (avx2) return run_avx2(loop);
  loop();
}

}  // namespace cornernet::cpu
