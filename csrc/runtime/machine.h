// What this machine lets the process use: cores, memory, instruction sets.
#pragma once
#include <cstddef>
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

/// Asks for the pages of memory that is about to be written, in one call instead of a fault for each. Where the system can't (Linux before 5.14), the
/// faults come as ever.
void fault_in(void* begin, size_t size);

/// Of "avx2", "avx512f", "avx512_bf16", "amx_bf16", "avx512_vnni", "avx_vnni", "amx_int8", and on ARM64 "neon", "sve", "arm_bf16", "i8mm", those this
/// CPU has.
std::vector<std::string> cpu_features();
bool has_cpu_feature(const std::string& name);

}  // namespace cornernet
