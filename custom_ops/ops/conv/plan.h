// The plan of a delta convolution: its output pixels, from all boxes of a chunk, sorted by the set of
// taps that land inside the input box. Pixels of equal set form full register tiles and run exactly
// the useful multiply-adds (DESIGN section 7: a 3x3 stride-1 box has at most 25 sets).
#pragma once

#include <vector>

#include "geometry/window.h"
#include "kernels/table.h"
#include "op/parallel.h"

namespace krypton {

// Neighbouring outputs [begin, end) of one axis, counted from the box's start, that share the taps [lo, hi).
struct TapRun {
  int64_t begin, end, lo, hi;
};

// The runs of the outputs [begin, end), in order, for a delta that is non-zero on the inputs [lo, hi) alone.
void FindTapRuns(const WindowAxis& axis, int64_t begin, int64_t end, int64_t lo, int64_t hi, std::vector<TapRun>* runs);

// The taps [y.lo, y.hi) x [x.lo, x.hi) and its rows, rows[first .. last).
struct TapClass {
  Range y, x;
  int64_t first, last;
};

struct ConvPlan {
  std::vector<ConvRow> rows;  // rows that no tap reaches are in none of the classes
  std::vector<TapClass> classes;
  std::vector<int64_t> untouched;  // output rows that are zero
};

// Within a class rows come box by box or, with `by_pixel`, pixel by pixel: the same pixel of
// neighbouring positions then stands side by side, where zero patterns agree. Box b lies on slice b % slices.
ConvPlan PlanConv(const Ort::KernelContext& context, const Window& window, const BoxList& x_boxes,
                  const BoxList& y_boxes, int64_t channels, int64_t slices, bool by_pixel);

}  // namespace krypton
