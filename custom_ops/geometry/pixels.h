// Walks over the pixels of ragged boxes.
#pragma once

#include "geometry/box.h"

namespace krypton {

// Calls body(b, y, x, row) for every pixel of the boxes [begin, end).
template <class Body>
void WalkPixels(const BoxList& boxes, int64_t begin, int64_t end, const Body& body) {
  for (int64_t b = begin; b < end; ++b) {
    const Box& box = boxes[b];
    if (box.empty()) continue;
    int64_t row = boxes.offsets[b];
    for (int64_t y = box.y0; y < box.y1(); ++y) {
      for (int64_t x = box.x0; x < box.x1(); ++x, ++row) body(b, y, x, row);
    }
  }
}

// The row of pixel (y, x) in box b of `boxes`, or -1 where the box does not hold it.
inline int64_t RowOf(const BoxList& boxes, int64_t b, int64_t y, int64_t x) {
  const Box& box = boxes[b];
  if (y < box.y0 || y >= box.y1() || x < box.x0 || x >= box.x1()) return -1;
  return boxes.offsets[b] + (y - box.y0) * box.w + (x - box.x0);
}

}  // namespace krypton
