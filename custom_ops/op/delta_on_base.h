// A base map and a delta of it, whose pixels stay where they are: what f(Z0 + D) - f(Z0) is made of.
#pragma once

#include <utility>

#include "op/inputs.h"
#include "op/parallel.h"
#include "op/thresholds.h"

namespace krypton {

struct DeltaOnBase {
  BaseMap base;
  BoxList boxes;
  Values d;
};

inline DeltaOnBase ReadDeltaOnBase(const Ort::KernelContext& context, const Input& values_input,
                                   const Input& boxes_input, const Input& base_input) {
  const BaseMap base = ReadBaseMap(context, base_input);
  BoxList boxes = ReadBoxes(context, boxes_input, {base.h, base.w});
  const Values d = ReadValues(context, values_input, boxes);
  CheckMap(base, base_input, {base.h, base.w}, d.channels, base.depth);
  CheckSlices(boxes, boxes_input, base.depth);
  return {base, std::move(boxes), d};
}

// The call of an op whose inputs X, boxes and Z0 these are.
template <class In>
DeltaOnBase ReadDeltaOnBase(const Ort::KernelContext& context) {
  return ReadDeltaOnBase(context, In::X, In::boxes, In::Z0);
}

// Calls row(z, d, y, channels) for every pixel of every box: the base, the delta, and where the result belongs.
template <class Row>
void WriteRows(Ort::KernelContext& context, const DeltaOnBase& call, const DeltaLimit& limit, const Row& row) {
  const int64_t channels = call.d.channels;
  float* out = WriteValues(context, call.d.rows, channels);
  ForEachPixel(context, call.boxes, [&](int64_t b, int64_t y, int64_t x, int64_t at) {
    float* to = out + at * channels;
    row(call.base.pixel(b, y, x), call.d.row(at), to, channels);
    limit.Flush(to, channels);
  });
}

}  // namespace krypton
