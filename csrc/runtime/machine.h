// What this machine lets the process use: cores, memory, instruction sets.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace cornernet {

/// Cores by affinity and cgroup quota, at least 1.
int usable_cores();

/// Throws Error(OutOfMemory) when the system does not let this process have so many threads more at a time. OpenMP would end the process.
void require_threads(int count);

/// Bytes that can still be taken without swapping: the system's available memory or what the cgroup leaves, whichever is less.
int64_t available_memory_bytes();

/// Of "avx2", "avx512f", "avx512_bf16", "amx_bf16", those this CPU has.
std::vector<std::string> cpu_features();
bool has_cpu_feature(const std::string& name);

}  // namespace cornernet
