// The checksum of zip archives: ISO 3309's polynomial, reflected.
#pragma once
#include <cstdint>
#include <span>

namespace cornernet {

/// Of all bytes so far, given that of those before these (0 at first).
uint32_t crc32(uint32_t before, std::span<const uint8_t> bytes);

}  // namespace cornernet
