// How kernels read and write each element type: stored as Raw, computed in fp32, rounded once to nearest even.
#pragma once
#include "ops/cuda/portable.h"
#include "ops/fixed_width.h"

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace cornernet {  // ops/sixteen_bits.h's, in the device's instructions

CORNERNET_DEVICE float half_to_float(uint16_t bits) { return __half2float(__ushort_as_half(bits)); }
CORNERNET_DEVICE uint16_t float_to_half(float value) { return __half_as_ushort(__float2half_rn(value)); }
CORNERNET_DEVICE float bfloat16_to_float(uint16_t bits) { return __uint_as_float(static_cast<uint32_t>(bits) << 16); }
CORNERNET_DEVICE uint16_t float_to_bfloat16(float value) { return __bfloat16_as_ushort(__float2bfloat16_rn(value)); }

}  // namespace cornernet
#else
#include "ops/sixteen_bits.h"
#endif

namespace cornernet::cuda {

template <Scalar>
struct Element;

template <>
struct Element<Scalar::Float32> {
  using Raw = float;
  static CORNERNET_DEVICE float load(Raw value) { return value; }
  static CORNERNET_DEVICE Raw store(float value) { return value; }
};

template <>
struct Element<Scalar::Float16> {
  using Raw = uint16_t;
  static CORNERNET_DEVICE float load(Raw value) { return half_to_float(value); }
  static CORNERNET_DEVICE Raw store(float value) { return float_to_half(value); }
};

template <>
struct Element<Scalar::BFloat16> {
  using Raw = uint16_t;
  static CORNERNET_DEVICE float load(Raw value) { return bfloat16_to_float(value); }
  static CORNERNET_DEVICE Raw store(float value) { return float_to_bfloat16(value); }
};

/// Neighbouring elements that move in one load or store of up to 16 bytes.
template <typename Raw, int kCount>
struct alignas(sizeof(Raw) * kCount) Pack {
  Raw at[kCount];

  CORNERNET_DEVICE Raw get(int i) const { return at[i]; }
  CORNERNET_DEVICE void set(int i, Raw value) { at[i] = value; }
};

/// Two 16-bit elements to a word: as elements of an array each would take a whole register from its load to its use.
template <int kCount>
struct alignas(2 * kCount) WordPack {
  uint32_t words[kCount / 2];

  CORNERNET_DEVICE uint16_t get(int i) const { return static_cast<uint16_t>(words[i / 2] >> (i % 2 * 16)); }
  CORNERNET_DEVICE void set(int i, uint16_t value) {
    const uint32_t kept = words[i / 2] & (0xffff0000u >> (i % 2 * 16));
    words[i / 2] = kept | static_cast<uint32_t>(value) << (i % 2 * 16);
  }
};
template <>
struct Pack<uint16_t, 2> : WordPack<2> {};
template <>
struct Pack<uint16_t, 4> : WordPack<4> {};
template <>
struct Pack<uint16_t, 8> : WordPack<8> {};

template <int kCount, typename Raw>
CORNERNET_DEVICE Pack<Raw, kCount> load_pack(const Raw* from) {
  return *reinterpret_cast<const Pack<Raw, kCount>*>(from);
}

template <int kCount, typename Raw>
CORNERNET_DEVICE void store_pack(Raw* to, const Pack<Raw, kCount>& pack) {
  *reinterpret_cast<Pack<Raw, kCount>*>(to) = pack;
}

}  // namespace cornernet::cuda
