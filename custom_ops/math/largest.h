// The largest |x| of a tensor, as bits. Floats without their sign are ordered as their bits are, a NaN above infinity;
// of integers the compiler compares a register at a time, of floats, where a NaN would matter, one after the other.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "math/device.h"

namespace krypton {

constexpr int32_t kLargestFinite = 0x7f7fffff;

KRYPTON_DEVICE inline int32_t Magnitude(float x) {
  int32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits & 0x7fffffff;
}

// The largest magnitude of data[0 .. count); 0 where there is nothing.
inline int32_t LargestMagnitude(const float* data, int64_t count) {
  constexpr int64_t kLanes = 16;  // as many as hide what a comparison waits for the one before
  int32_t largest[kLanes] = {};
  int64_t k = 0;
  for (; k + kLanes <= count; k += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) largest[lane] = std::max(largest[lane], Magnitude(data[k + lane]));
  }
  for (; k < count; ++k) largest[0] = std::max(largest[0], Magnitude(data[k]));
  return *std::max_element(largest, largest + kLanes);
}

}  // namespace krypton
