#include "ops/conv_plan.h"

namespace krypton {
namespace {

// For every output coordinate of a box on one axis: its taps, as lo * kernel + hi - 1, or -1 for none.
struct AxisTaps {
  int64_t id, lo;
};

void FindTaps(const WindowAxis& axis, int64_t begin, int64_t end, int64_t lo, int64_t hi, std::vector<AxisTaps>* taps) {
  taps->clear();
  for (int64_t o = begin; o < end; ++o) {
    const Range range = axis.Taps(o, lo, hi);
    taps->push_back({range.lo < range.hi ? range.lo * axis.kernel + range.hi - 1 : -1, range.lo});
  }
}

}  // namespace

ConvPlan PlanConv(const Window& window, const BoxList& x_boxes, const BoxList& y_boxes, int64_t channels) {
  const int64_t ids_x = window.x.kernel * window.x.kernel, ids = window.y.kernel * window.y.kernel * ids_x;
  std::vector<int64_t> start(static_cast<size_t>(ids) + 1, 0);
  ConvPlan plan;
  std::vector<AxisTaps> taps_y, taps_x;
  // A counting sort: the same walk twice, first to count, then to place.
  for (const bool place : {false, true}) {
    for (int64_t b = 0; b < y_boxes.count; ++b) {
      const Box &source = x_boxes[b], &target = y_boxes[b];
      if (target.empty()) continue;
      const bool gone = source.empty();
      FindTaps(window.y, target.y0, target.y1(), source.y0, gone ? source.y0 : source.y1(), &taps_y);
      FindTaps(window.x, target.x0, target.x1(), source.x0, gone ? source.x0 : source.x1(), &taps_x);
      int64_t row = y_boxes.offsets[b];
      for (int64_t i = 0; i < target.h; ++i) {
        const int64_t y = target.y0 + i;
        for (int64_t j = 0; j < target.w; ++j, ++row) {
          if (taps_y[i].id < 0 || taps_x[j].id < 0) {
            if (place) plan.untouched.push_back(row);
            continue;
          }
          const int64_t id = taps_y[i].id * ids_x + taps_x[j].id;
          if (!place) {
            ++start[id + 1];
            continue;
          }
          const int64_t x = target.x0 + j;
          const int64_t iy = window.y.Input(y, taps_y[i].lo) - source.y0;
          const int64_t ix = window.x.Input(x, taps_x[j].lo) - source.x0;
          plan.rows[start[id]++] = {(x_boxes.offsets[b] + iy * source.w + ix) * channels,
                                    window.y.dilation * source.w * channels, row, y * window.x.out + x};
        }
      }
    }
    if (place) break;
    for (int64_t id = 0; id < ids; ++id) {
      if (start[id + 1] > 0) {
        const int64_t id_y = id / ids_x, id_x = id % ids_x;
        plan.classes.push_back({{id_y / window.y.kernel, id_y % window.y.kernel + 1},
                                {id_x / window.x.kernel, id_x % window.x.kernel + 1},
                                start[id],
                                start[id] + start[id + 1]});
      }
      start[id + 1] += start[id];
    }
    plan.rows.resize(static_cast<size_t>(start[ids]));
  }
  return plan;
}

}  // namespace krypton
