// A file of torch's zip container, taken apart.
#include <cstring>

#include "checkpoint/container.h"
#include "fuzz.h"
#include "zip_writer.h"

using namespace cornernet;

FUZZ_TARGET(zip) {
  pickle::Unpickler unpickler("the pickle");
  open_zip(input, unpickler);
}

#ifdef CORNERNET_FUZZING
namespace {

template <typename T>
T read(const uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

/// Has the directory state the CRCs that the records have.
void restate_crcs(uint8_t* data, size_t size) {
  for (size_t entry = 0; entry + 46 <= size; ++entry) {
    if (std::memcmp(data + entry, "PK\x01\x02", 4) != 0) continue;
    const size_t length = read<uint32_t>(data + entry + 24), header = read<uint32_t>(data + entry + 42);
    if (header + 30 > size) continue;
    const size_t first = header + 30 + read<uint16_t>(data + header + 26) + read<uint16_t>(data + header + 28);
    if (first > size || length > size - first) continue;
    const uint32_t crc = fuzz::crc32_of({reinterpret_cast<const char*>(data) + first, length});
    std::memcpy(data + entry + 16, &crc, sizeof(crc));
  }
}

}  // namespace

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed);

/// Most mutations keep the CRCs right: little behind the check of them would be reached otherwise.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  const size_t mutated = LLVMFuzzerMutate(data, size, max_size);
  if (seed % 8 != 0) restate_crcs(data, mutated);
  return mutated;
}
#endif
