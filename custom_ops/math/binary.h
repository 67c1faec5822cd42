// The functions of two maps, and their deltas: f(A0 + DA, B0 + DB) - f(A0, B0), written so that rounding scales with
// the deltas where it can (krypton_compile/reference/pointwise.py).
#pragma once

#include <cmath>
#include <cstdint>

#include "math/device.h"

namespace krypton {

// Numbered in the order of their names, which are ONNX's.
enum class Binary : int32_t { kAdd, kSub, kMul, kDiv, kMax, kMin, kPow };
inline constexpr const char* kBinaryNames[] = {"Add", "Sub", "Mul", "Div", "Max", "Min", "Pow"};

template <Binary kFunction>
KRYPTON_DEVICE inline float BinaryDelta([[maybe_unused]] float a0, float da, [[maybe_unused]] float b0, float db) {
  if constexpr (kFunction == Binary::kAdd) {
    return da + db;
  } else if constexpr (kFunction == Binary::kSub) {
    return da - db;
  } else if constexpr (kFunction == Binary::kMul) {
    return (a0 + da) * db + b0 * da;
  } else if constexpr (kFunction == Binary::kDiv) {
    return da == 0.0f && db == 0.0f ? 0.0f : (da - a0 / b0 * db) / (b0 + db);
  } else if constexpr (kFunction == Binary::kPow) {
    const double before = std::pow(static_cast<double>(a0), static_cast<double>(b0));
    return static_cast<float>(std::pow(static_cast<double>(a0) + da, static_cast<double>(b0) + db) - before);
  } else {
    // The one that wins keeps its own delta, unrounded. Written as std::max and std::min are.
    constexpr bool kLargest = kFunction == Binary::kMax;
    const float best = (kLargest ? a0 < b0 : b0 < a0) ? b0 : a0;
    const float a = da + (a0 - best), b = db + (b0 - best);
    return (kLargest ? a < b : b < a) ? b : a;
  }
}

}  // namespace krypton
