// What a GPU did and when, for a program run with CUDA_INJECTION64_PATH=<this library>: the kernels and copies of its last seconds, how long each
// kind took together, and the gaps between them. CUDA's own CUPTI does the recording; recorded graphs count kernel by kernel. scripts/device-run.sh
// builds and uses it.
//   CORNERNET_TIMELINE=out.tsv   where the summary goes, as comments, and then every record: begin and length in microseconds, stream, name
//   CORNERNET_TIMELINE_MS=500    of so many milliseconds before the last record
#include <cupti.h>
#include <cxxabi.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace {

struct Record {
  uint64_t begin, end;
  uint32_t stream;
  int name;
};

std::mutex mutex;
std::vector<Record> records;
std::map<std::string, int> ids;
std::vector<std::string> names;
std::map<const char*, int> known;  // CUPTI keeps a kernel's name where it is

int id_of(const std::string& name) {
  const auto [at, is_new] = ids.emplace(name, static_cast<int>(names.size()));
  if (is_new) names.push_back(name);
  return at->second;
}

std::string demangled(const char* name) {
  int status = 0;
  char* text = abi::__cxa_demangle(name, nullptr, nullptr, &status);
  std::string result = status == 0 ? text : name;
  std::free(text);
  return result;
}

void CUPTIAPI give_buffer(uint8_t** buffer, size_t* size, size_t* most) {
  *size = 8u << 20;
  *buffer = static_cast<uint8_t*>(std::aligned_alloc(8, *size));
  *most = 0;
}

void CUPTIAPI take_buffer(CUcontext, uint32_t, uint8_t* buffer, size_t, size_t valid) {
  const std::lock_guard lock(mutex);
  CUpti_Activity* activity = nullptr;
  while (cuptiActivityGetNextRecord(buffer, valid, &activity) == CUPTI_SUCCESS) {
    if (activity->kind == CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) {
      const auto* kernel = reinterpret_cast<const CUpti_ActivityKernel10*>(activity);
      const auto [at, is_new] = known.emplace(kernel->name, 0);
      if (is_new) at->second = id_of(demangled(kernel->name));
      records.push_back({kernel->start, kernel->end, kernel->streamId, at->second});
    } else if (activity->kind == CUPTI_ACTIVITY_KIND_MEMCPY) {
      const auto* copy = reinterpret_cast<const CUpti_ActivityMemcpy6*>(activity);
      static const char* const ways[] = {"unknown",        "to the device",   "to the host",     "to an array",  "from an array",
                                         "array to array", "array to device", "device to array", "on the device"};
      records.push_back(
          {copy->start, copy->end, copy->streamId, id_of(std::string("copy ") + (copy->copyKind < 9 ? ways[copy->copyKind] : "elsewhere"))});
    } else if (activity->kind == CUPTI_ACTIVITY_KIND_MEMSET) {
      const auto* set = reinterpret_cast<const CUpti_ActivityMemset4*>(activity);
      records.push_back({set->start, set->end, set->streamId, id_of("set")});
    }
  }
  std::free(buffer);
}

void report() {
  cuptiActivityFlushAll(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED);
  const std::lock_guard lock(mutex);
  const char* const path = std::getenv("CORNERNET_TIMELINE");
  const char* const span = std::getenv("CORNERNET_TIMELINE_MS");
  if (records.empty() || path == nullptr) return;
  std::sort(records.begin(), records.end(), [](const Record& a, const Record& b) { return a.begin < b.begin; });
  const uint64_t last = records.back().begin, length = 1'000'000ull * (span == nullptr ? 500 : std::strtoull(span, nullptr, 10));
  const auto from = std::find_if(records.begin(), records.end(), [&](const Record& r) { return last - r.begin <= length; });
  const uint64_t first = from->begin;

  struct Sum {
    uint64_t ns = 0, count = 0;
  };
  std::vector<Sum> sums(names.size());
  std::vector<std::pair<uint64_t, int>> gaps;  // nanoseconds, and what ended it
  uint64_t busy = 0, until = first, end = first;
  for (auto r = from; r != records.end(); ++r) {
    sums[r->name].ns += r->end - r->begin;
    sums[r->name].count++;
    if (r->begin > until) gaps.emplace_back(r->begin - until, r->name);
    if (r->end > until) busy += r->end - std::max(until, r->begin);
    until = std::max(until, r->end);
    end = std::max(end, r->end);
  }
  std::vector<int> order;
  for (int i = 0; i < static_cast<int>(names.size()); ++i)
    if (sums[i].count > 0) order.push_back(i);
  std::sort(order.begin(), order.end(), [&](int a, int b) { return sums[a].ns > sums[b].ns; });
  std::sort(gaps.rbegin(), gaps.rend());

  std::FILE* const file = std::fopen(path, "w");
  if (file == nullptr) return;
  const double whole = static_cast<double>(end - first);
  std::fprintf(file, "# %.3f ms, of which something ran for %.1f%%; %zu records, %zu gaps\n", whole / 1e6, 100.0 * busy / whole,
               static_cast<size_t>(records.end() - from), gaps.size());
  for (size_t i = 0; i < std::min<size_t>(gaps.size(), 12); ++i)
    std::fprintf(file, "# gap of %.1f us before %.80s\n", gaps[i].first / 1e3, names[gaps[i].second].c_str());
  for (const int i : order)
    std::fprintf(file, "# %5.1f%% %9.3f ms %6llu times %9.2f us  %.160s\n", 100.0 * sums[i].ns / whole, sums[i].ns / 1e6,
                 static_cast<unsigned long long>(sums[i].count), sums[i].ns / 1e3 / sums[i].count, names[i].c_str());
  for (auto r = from; r != records.end(); ++r)
    std::fprintf(file, "%.3f\t%.3f\t%u\t%.100s\n", (r->begin - first) / 1e3, (r->end - r->begin) / 1e3, r->stream, names[r->name].c_str());
  std::fclose(file);
}

}  // namespace

/// What CUDA calls when it starts.
extern "C" __attribute__((visibility("default"))) int InitializeInjection() {
  for (const CUpti_ActivityKind kind : {CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, CUPTI_ACTIVITY_KIND_MEMCPY, CUPTI_ACTIVITY_KIND_MEMSET})
    if (cuptiActivityEnable(kind) != CUPTI_SUCCESS) return 0;
  cuptiActivityRegisterCallbacks(give_buffer, take_buffer);
  std::atexit(report);
  return 1;
}
