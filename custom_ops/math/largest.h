// The largest |x| of a tensor, as bits. Floats without their sign are ordered as their bits are, a NaN above infinity;
// of integers the compiler compares a register at a time, of floats, where a NaN would matter, one after the other.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "math/device.h"
#include "op/op.h"

namespace krypton {

constexpr int32_t kLargestFinite = 0x7f7fffff;

KRYPTON_DEVICE inline int32_t Magnitude(float x) {
  int32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits & 0x7fffffff;
}

inline int32_t LargestBits(const Ort::KernelContext& context, const float* data, int64_t count) {
  constexpr int64_t kPiece = 1 << 16, kLanes = 16;
  std::vector<int32_t> largest(static_cast<size_t>((count + kPiece - 1) / kPiece), 0);
  ParallelFor(context, static_cast<int64_t>(largest.size()), [&](int64_t i) {
    int32_t found[kLanes] = {};  // as many as hide what a comparison waits for the one before
    const int64_t end = std::min(count, (i + 1) * kPiece);
    int64_t k = i * kPiece;
    for (; k + kLanes <= end; k += kLanes) {
      for (int64_t lane = 0; lane < kLanes; ++lane) found[lane] = std::max(found[lane], Magnitude(data[k + lane]));
    }
    for (; k < end; ++k) found[0] = std::max(found[0], Magnitude(data[k]));
    largest[static_cast<size_t>(i)] = *std::max_element(found, found + kLanes);
  });
  return largest.empty() ? 0 : *std::max_element(largest.begin(), largest.end());
}

}  // namespace krypton
