// The depthwise convolution of a delta: box by box and row by row, so that each pixel is fetched from memory once.
#pragma once

#include "geometry/window.h"
#include "op/packed_weights.h"
#include "op/parallel.h"
#include "op/thresholds.h"

namespace krypton {

// W [C, 1, kH, kW] -> [ky][kx][C].
AlignedFloats PackTaps(const float* w, int64_t channels, int64_t taps);

// Y of all y_boxes; W packed. Where z has no data, no activation follows.
void DepthwiseConv(const Ort::KernelContext& context, const Window& window, const Values& x, const BoxList& x_boxes,
                   const BoxList& y_boxes, const float* packed, const BaseMap& z, float lo, float hi,
                   const DeltaLimit& limit, float* y);

}  // namespace krypton
