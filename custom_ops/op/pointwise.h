// Ops on one map that keep each pixel where it is, f(Z0 + D) - f(Z0): inputs X, boxes and Z0 come first.
#pragma once

#include <utility>

#include "geometry/pixels.h"
#include "op/thresholds.h"

namespace krypton {

struct Pointwise {
  BaseMap z;
  BoxList boxes;
  Values d;
};

inline Pointwise ReadPointwise(const Ort::KernelContext& context) {
  const BaseMap z = ReadBaseMap(context, 2, "Z0");
  BoxList boxes = ReadBoxes(context, 1, "boxes", {z.h, z.w});
  const Values d = ReadValues(context, 0, "X", boxes);
  CheckMap(z, "Z0", {z.h, z.w}, d.channels, z.depth);
  CheckSlices(boxes, "boxes", z.depth);
  return {z, std::move(boxes), d};
}

// Calls row(z, d, y, channels) for every pixel of every box: the base, the delta, and where the result belongs.
template <class Row>
void WriteRows(Ort::KernelContext& context, const Pointwise& input, const DeltaLimit& limit, const Row& row) {
  const int64_t channels = input.d.channels;
  float* out = WriteValues(context, 0, input.d.rows, channels);
  ForEachPixel(context, input.boxes, [&](int64_t b, int64_t y, int64_t x, int64_t at) {
    float* to = out + at * channels;
    row(input.z.pixel(b, y, x), input.d.row(at), to, channels);
    limit.Flush(to, channels);
  });
}

}  // namespace krypton
