// The largest |x| of a tensor, as bits (math/largest.h), found on all threads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "math/largest.h"
#include "op/parallel.h"

namespace krypton {

inline int32_t LargestBits(const Ort::KernelContext& context, const float* data, int64_t count) {
  constexpr int64_t kPiece = 1 << 16;
  std::vector<int32_t> largest(static_cast<size_t>((count + kPiece - 1) / kPiece), 0);
  ParallelFor(context, static_cast<int64_t>(largest.size()), [&](int64_t i) {
    const int64_t first = i * kPiece;
    largest[static_cast<size_t>(i)] = LargestMagnitude(data + first, std::min(kPiece, count - first));
  });
  return largest.empty() ? 0 : *std::max_element(largest.begin(), largest.end());
}

}  // namespace krypton
