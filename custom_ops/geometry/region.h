// Boxes as callers give them, of signals, pictures and volumes: int32 [B, 2n], all starts, then all sizes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace krypton {

struct Region {
  const int32_t* numbers;
  size_t axes;
  int64_t start(size_t axis) const { return numbers[axis]; }
  int64_t size(size_t axis) const { return numbers[axes + axis]; }
  bool empty() const;
  bool LiesInside(const std::vector<int64_t>& image) const;
};

struct RegionList {
  const int32_t* data;
  int64_t count;
  size_t axes;
  std::vector<int64_t> offsets;  // of each region's first pixel; count + 1 entries
  Region operator[](int64_t b) const { return {data + b * 2 * static_cast<int64_t>(axes), axes}; }
};

}  // namespace krypton
