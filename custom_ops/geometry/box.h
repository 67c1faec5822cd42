// Boxes and ragged rows (DESIGN section 4): `values` float32 [R, C] holds the rows of all boxes of a chunk, one after
// another; box b owns rows offsets[b] .. offsets[b + 1]. A volume of D slices has D boxes a position, one a slice: box
// b of position b / D lies on slice b % D.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "math/device.h"

namespace krypton {

struct Box {
  int32_t y0, x0, h, w;
  KRYPTON_DEVICE bool empty() const { return h <= 0 || w <= 0; }
  KRYPTON_DEVICE int64_t area() const { return empty() ? 0 : static_cast<int64_t>(h) * w; }
  KRYPTON_DEVICE int64_t y1() const { return static_cast<int64_t>(y0) + h; }
  KRYPTON_DEVICE int64_t x1() const { return static_cast<int64_t>(x0) + w; }
};
static_assert(sizeof(Box) == 4 * sizeof(int32_t), "boxes are read straight from the tensor");

// The smallest box that holds both; an empty one adds nothing.
inline Box Hull(const Box& a, const Box& b) {
  if (a.empty()) return b;
  if (b.empty()) return a;
  const int32_t y0 = std::min(a.y0, b.y0), x0 = std::min(a.x0, b.x0);
  return {y0, x0, static_cast<int32_t>(std::max(a.y1(), b.y1()) - y0),
          static_cast<int32_t>(std::max(a.x1(), b.x1()) - x0)};
}

struct MapShape {
  int64_t h, w;
};

// Attribute input_shape of ops that end the spatial part: [H, W], or [D, H, W] of a volume.
struct VolumeShape {
  MapShape slice;
  int64_t depth;
  int64_t pixels() const { return depth * slice.h * slice.w; }
};

struct BoxList {
  const Box* data = nullptr;
  int64_t count = 0;
  std::vector<int64_t> offsets;  // count + 1 entries
  const Box& operator[](int64_t b) const { return data[b]; }
  int64_t rows() const { return offsets.back(); }
};

struct Values {
  const float* data;
  int64_t rows, channels;
  KRYPTON_DEVICE const float* row(int64_t r) const { return data + r * channels; }
};

// [H, W, C]; of volumes [D, H, W, C].
struct BaseMap {
  const float* data;
  int64_t h, w, channels, depth = 1;
  // Below box b of a chunk.
  KRYPTON_DEVICE const float* pixel(int64_t b, int64_t y, int64_t x) const {
    return data + ((depth == 1 ? y : b % depth * h + y) * w + x) * channels;
  }
  // The same of a map that may have one row or column for all.
  KRYPTON_DEVICE const float* spread_pixel(int64_t b, int64_t y, int64_t x) const {
    return pixel(b, h == 1 ? 0 : y, w == 1 ? 0 : x);
  }
};

}  // namespace krypton
