#include "runtime/machine.h"

#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>
#ifdef __x86_64__
#include <cpuid.h>
#else
#include <sys/auxv.h>
#endif

#include <algorithm>
#include <cmath>
#include <fstream>
#include <latch>
#include <limits>
#include <optional>
#include <sstream>
#include <thread>

#include "runtime/error.h"

namespace cornernet {
namespace {

constexpr int64_t kUnlimited = std::numeric_limits<int64_t>::max();

/// The folders of this process's cgroup, itself first and the root last; limits of any of them count.
std::vector<std::string> cgroup_folders() {
  std::ifstream file("/proc/self/cgroup");
  std::string line, path;
  while (std::getline(file, line)) {
    if (line.rfind("0::", 0) == 0) path = line.substr(3);
  }
  std::vector<std::string> folders;
  while (path.size() > 1) {
    folders.push_back("/sys/fs/cgroup" + path);
    path.resize(path.find_last_of('/'));
  }
  folders.push_back("/sys/fs/cgroup");
  return folders;
}

/// The number in a one-line file; empty for "max", for no file and for anything else.
std::optional<int64_t> read_number(const std::string& path) {
  std::ifstream file(path);
  int64_t value;
  if (file >> value) return value;
  return std::nullopt;
}

/// Quota over period of cgroup v2's cpu.max ("200000 100000", or "max 100000").
std::optional<double> cpu_quota(const std::string& folder) {
  std::ifstream file(folder + "/cpu.max");
  double quota, period;
  if (file >> quota >> period && period > 0) return quota / period;
  return std::nullopt;
}

int64_t meminfo_bytes(const std::string& key) {
  std::ifstream file("/proc/meminfo");
  std::string line;
  while (std::getline(file, line)) {
    if (line.rfind(key + ":", 0) == 0) return std::stoll(line.substr(key.size() + 1)) * 1024;
  }
  return kUnlimited;
}

/// Page cache that the kernel gives back under pressure counts as used in memory.current.
int64_t reclaimable_bytes(const std::string& folder) {
  std::ifstream file(folder + "/memory.stat");
  std::string key;
  int64_t value, sum = 0;
  while (file >> key >> value) {
    if (key == "inactive_file" || key == "active_file") sum += value;
  }
  return sum;
}

}  // namespace

int usable_cores() {
  int cores = static_cast<int>(std::thread::hardware_concurrency());
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) cores = CPU_COUNT(&set);
  for (const std::string& folder : cgroup_folders()) {
    if (const auto quota = cpu_quota(folder)) cores = std::min(cores, static_cast<int>(std::ceil(*quota)));
  }
  return std::max(cores, 1);
}

void require_threads(int count) {
  std::latch ready(1);
  std::vector<std::thread> threads;
  std::string failure;
  try {
    threads.reserve(static_cast<size_t>(std::max(count, 0)));
    for (int i = 0; i < count; ++i) threads.emplace_back([&ready] { ready.wait(); });
  } catch (const std::exception& error) {
    failure = error.what();
  }
  ready.count_down();
  for (std::thread& thread : threads) thread.join();
  if (!failure.empty()) {
    throw Error(ErrorCode::OutOfMemory, "of " + std::to_string(count) + " threads for computing, " + std::to_string(threads.size()) +
                                            " can be started (" + failure + "): set a lower number of threads");
  }
}

int64_t available_memory_bytes() {
  int64_t bytes = meminfo_bytes("MemAvailable");
  for (const std::string& folder : cgroup_folders()) {
    const auto limit = read_number(folder + "/memory.max");
    const auto current = read_number(folder + "/memory.current");
    if (limit && current) bytes = std::min(bytes, std::max<int64_t>(0, *limit - *current + reclaimable_bytes(folder)));
  }
  return bytes;
}

void fault_in([[maybe_unused]] void* begin, [[maybe_unused]] size_t size) {
#ifdef MADV_POPULATE_WRITE
  static const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  constexpr size_t kFewPages = 16;  // whose faults cost no more than the call
  const auto first = reinterpret_cast<uintptr_t>(begin) / page * page;
  const auto end = (reinterpret_cast<uintptr_t>(begin) + size + page - 1) / page * page;
  if (end - first >= kFewPages * page) madvise(reinterpret_cast<void*>(first), end - first, MADV_POPULATE_WRITE);
#endif
}

std::vector<std::string> cpu_features() {
  std::vector<std::string> features;
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx2")) features.emplace_back("avx2");
  if (__builtin_cpu_supports("avx512f")) features.emplace_back("avx512f");
  if (__builtin_cpu_supports("avx512bf16")) features.emplace_back("avx512_bf16");
  if (__builtin_cpu_supports("avx512vnni")) features.emplace_back("avx512_vnni");
  unsigned a, b, c, d;
  // CPUID leaf 7, EDX, and its subleaf 1, EAX; gcc 12's __builtin_cpu_supports doesn't know them
  constexpr unsigned kAmxBf16 = 1u << 22, kAmxInt8 = 1u << 25, kAvxVnni = 1u << 4;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
    if (d & kAmxBf16) features.emplace_back("amx_bf16");
    if (d & kAmxInt8) features.emplace_back("amx_int8");
  }
  if (__builtin_cpu_supports("avx2") && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & kAvxVnni)) features.emplace_back("avx_vnni");
#else
  features.emplace_back("neon");  // of every ARM64
  const unsigned long bits = getauxval(AT_HWCAP), more = getauxval(AT_HWCAP2);
  if (bits & HWCAP_SVE) features.emplace_back("sve");
  if (more & HWCAP2_BF16) features.emplace_back("arm_bf16");
  if (more & HWCAP2_I8MM) features.emplace_back("i8mm");
#endif
  return features;
}

bool has_cpu_feature(const std::string& name) {
  const auto features = cpu_features();
  return std::find(features.begin(), features.end(), name) != features.end();
}

}  // namespace cornernet
