#include "checkpoint/crc32.h"

#include <array>
#include <cstddef>
#ifdef __x86_64__
#include <immintrin.h>
#else
#include <arm_acle.h>
#include <sys/auxv.h>

#include <cstring>
#endif

namespace cornernet {
namespace {

constexpr std::array<uint32_t, 256> table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ (value & 1 ? 0xedb88320u : 0u);
    table[byte] = value;
  }
  return table;
}

uint32_t by_bytes(uint32_t state, std::span<const uint8_t> bytes) {
  static constexpr auto kTable = table();
  for (const uint8_t byte : bytes) state = state >> 8 ^ kTable[(state ^ byte) & 0xff];
  return state;
}

#ifdef __x86_64__

// Gopal et al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ" (Intel, 2009): remainders of powers of x, reflected.
constexpr long long kBy2048[] = {0x11542778a, 0x1322d1430}, kBy512[] = {0x154442bd4, 0x1c6e41596}, kBy128[] = {0x1751997d0, 0x0ccaa009e},
                    kBy64 = 0x163cd6124;
constexpr long long kBarrett[] = {0x1db710641, 0x1f7011641};

#define CORNERNET_CLMUL [[gnu::target("pclmul,sse4.1")]] inline
#define CORNERNET_WIDE_CLMUL [[gnu::target("vpclmulqdq,avx512f,pclmul,sse4.1")]] inline

CORNERNET_CLMUL __m128i load(const uint8_t* at) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at)); }
CORNERNET_CLMUL __m128i pair(const long long (&values)[2]) { return _mm_set_epi64x(values[1], values[0]); }
/// `state` moved on by as many bits as the constants `by` are for, and `next` behind it.
CORNERNET_CLMUL __m128i fold(__m128i state, __m128i by, __m128i next) {
  return _mm_xor_si128(_mm_xor_si128(_mm_clmulepi64_si128(state, by, 0x00), _mm_clmulepi64_si128(state, by, 0x11)), next);
}

CORNERNET_WIDE_CLMUL __m512i four(const long long (&values)[2]) { return _mm512_set4_epi64(values[1], values[0], values[1], values[0]); }
CORNERNET_WIDE_CLMUL __m512i fold(__m512i state, __m512i by, __m512i next) {
  return _mm512_ternarylogic_epi64(_mm512_clmulepi64_epi128(state, by, 0x00), _mm512_clmulepi64_epi128(state, by, 0x11), next, 0x96);
}

/// The four lanes after at least 256 bytes, and where the rest begins.
CORNERNET_WIDE_CLMUL const uint8_t* wide_lanes(uint32_t state, std::span<const uint8_t> bytes, __m128i* lanes) {
  const uint8_t *at = bytes.data(), *const end = at + bytes.size();
  __m512i wide[4];
  for (int i = 0; i < 4; ++i) wide[i] = _mm512_loadu_si512(at + 64 * i);
  wide[0] = _mm512_xor_si512(wide[0], _mm512_zextsi128_si512(_mm_cvtsi32_si128(static_cast<int>(state))));
  const __m512i by2048 = four(kBy2048), by512 = four(kBy512);
  for (at += 256; end - at >= 256; at += 256) {
    for (int i = 0; i < 4; ++i) wide[i] = fold(wide[i], by2048, _mm512_loadu_si512(at + 64 * i));
  }
  __m512i x = wide[0];
  for (int i = 1; i < 4; ++i) x = fold(x, by512, wide[i]);
  _mm512_storeu_si512(lanes, x);
  return at;
}

/// Of a multiple of 16 bytes, at least 64.
CORNERNET_CLMUL uint32_t by_blocks(uint32_t state, std::span<const uint8_t> bytes) {
  static const bool wide = __builtin_cpu_supports("vpclmulqdq") && __builtin_cpu_supports("avx512f");
  const uint8_t *at = bytes.data(), *const end = at + bytes.size();
  __m128i lanes[4];
  if (wide && bytes.size() >= 256) {
    at = wide_lanes(state, bytes, lanes);
  } else {
    for (int i = 0; i < 4; ++i) lanes[i] = load(at + 16 * i);
    lanes[0] = _mm_xor_si128(lanes[0], _mm_cvtsi32_si128(static_cast<int>(state)));
    at += 64;
  }
  const __m128i by512 = pair(kBy512), by128 = pair(kBy128);
  for (; end - at >= 64; at += 64) {
    for (int i = 0; i < 4; ++i) lanes[i] = fold(lanes[i], by512, load(at + 16 * i));
  }
  __m128i x = lanes[0];
  for (int i = 1; i < 4; ++i) x = fold(x, by128, lanes[i]);
  for (; at < end; at += 16) x = fold(x, by128, load(at));
  // 128 bits to 64, to 32, and the remainder of those.
  const __m128i low = _mm_setr_epi32(~0, 0, ~0, 0);
  x = _mm_xor_si128(_mm_srli_si128(x, 8), _mm_clmulepi64_si128(x, by128, 0x10));
  x = _mm_xor_si128(_mm_srli_si128(x, 4), _mm_clmulepi64_si128(_mm_and_si128(x, low), _mm_set_epi64x(0, kBy64), 0x00));
  const __m128i barrett = pair(kBarrett);
  __m128i quotient = _mm_clmulepi64_si128(_mm_and_si128(x, low), barrett, 0x10);
  quotient = _mm_clmulepi64_si128(_mm_and_si128(quotient, low), barrett, 0x00);
  return static_cast<uint32_t>(_mm_extract_epi32(_mm_xor_si128(x, quotient), 1));
}

bool has_instructions() { return __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1"); }

#else

/// Of a multiple of 16 bytes, at least 64.
[[gnu::target("+crc")]] uint32_t by_blocks(uint32_t state, std::span<const uint8_t> bytes) {
  for (size_t at = 0; at < bytes.size(); at += sizeof(uint64_t)) {
    uint64_t eight;
    std::memcpy(&eight, bytes.data() + at, sizeof(eight));
    state = __crc32d(state, eight);
  }
  return state;
}

bool has_instructions() { return getauxval(AT_HWCAP) & HWCAP_CRC32; }

#endif

}  // namespace

uint32_t crc32(uint32_t before, std::span<const uint8_t> bytes) {
  static const bool by_instructions = has_instructions();
  uint32_t state = ~before;
  if (const size_t blocks = bytes.size() / 16 * 16; by_instructions && blocks >= 64) {
    state = by_blocks(state, bytes.first(blocks));
    bytes = bytes.subspan(blocks);
  }
  return ~by_bytes(state, bytes);
}

}  // namespace cornernet
