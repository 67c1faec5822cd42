// The inputs of a concatenation of channels, each on boxes of its own.
#pragma once

#include <vector>

#include "kernels/table.h"
#include "op/inputs.h"

namespace krypton {

struct Parts {
  std::vector<Values> values;
  std::vector<BoxList> boxes;  // of each, one a position
  int64_t channels = 0;        // of all
};

// The variadic `values`, and `boxes` [n * B, 4] of the first, then of the second, ...; y_boxes lie inside their hulls.
Parts ReadParts(const Ort::KernelContext& context, const Input& boxes, const Input& values, const BoxList& y_boxes);

// What becomes of the channels on their way: D * scale, then the clip rule.
struct GatherRule {
  const float* scale = nullptr;  // null for none
  BaseMap z{};                   // data is null for no clip rule
  float lo = 0, hi = 0;
};

// Brings together, pixel by pixel, what lies in the boxes of the parts.
class PartGather {
 public:
  PartGather(const Parts& parts, const GatherRule& rule);
  // The pixels [x0, x1) of map row `y` in box b: the channels of pixel x start at out + rows[x - x0].
  void operator()(int64_t b, int64_t y, int64_t x0, int64_t x1, float* out, const int64_t* rows) const;

 private:
  struct Place {
    Box box;
    const float* first;  // the box's first row
  };
  std::vector<Place> places_;  // [position][part]
  std::vector<int64_t> channels_;
  GatherRule rule_;
};

}  // namespace krypton
