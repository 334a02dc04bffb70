// What device code and plain C++ share before all else: integers of fixed width, also for NVRTC, which has no <cstdint>, and the mark of a function
// that both compile.
#pragma once
#ifndef __CUDACC_RTC__
#include <cstdint>
#else
using int8_t = signed char;
using uint8_t = unsigned char;
using int16_t = short;
using uint16_t = unsigned short;
using int32_t = int;
using uint32_t = unsigned;
using int64_t = long;
using uint64_t = unsigned long;
#endif

// Device code for nvcc and NVRTC, and an ordinary inline function for every other compiler.
#ifdef __CUDACC__
#define CORNERNET_DEVICE __device__ __forceinline__
#else
#define CORNERNET_DEVICE inline
#endif
