// A zip archive as torch.save writes it, records stored and with their CRCs, around bytes that a fuzzer made up.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cornernet::fuzz {

using Records = std::vector<std::pair<std::string, std::string_view>>;

inline uint32_t crc32_of(std::string_view bytes) {
  uint32_t crc = ~uint32_t{0};
  for (const char c : bytes) {
    crc ^= static_cast<uint8_t>(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc;
}

/// The layout is PKWARE's (csrc/checkpoint/container_zip.cpp).
inline std::string zip_of(const Records& records) {
  std::string file, directory;
  const auto put = [](std::string& to, std::initializer_list<std::pair<uint64_t, int>> fields) {
    for (const auto& [value, size] : fields) {
      for (int i = 0; i < size; ++i) to += static_cast<char>(value >> 8 * i);
    }
  };
  for (const auto& [name, bytes] : records) {
    const uint32_t crc = crc32_of(bytes);
    put(directory, {{0x02014b50, 4}, {0, 2}, {0, 2}, {0, 2}, {0, 2}, {0, 4}, {crc, 4}, {bytes.size(), 4}, {bytes.size(), 4}});
    put(directory, {{name.size(), 2}, {0, 2}, {0, 2}, {0, 2}, {0, 2}, {0, 4}, {file.size(), 4}});
    directory += name;
    put(file, {{0x04034b50, 4}, {0, 2}, {0, 2}, {0, 2}, {0, 4}, {crc, 4}, {bytes.size(), 4}, {bytes.size(), 4}, {name.size(), 2}, {0, 2}});
    file.append(name).append(bytes);
  }
  const uint64_t offset = file.size();
  file += directory;
  put(file, {{0x06054b50, 4}, {0, 2}, {0, 2}, {records.size(), 2}, {records.size(), 2}, {directory.size(), 4}, {offset, 4}, {0, 2}});
  return file;
}

}  // namespace cornernet::fuzz
