#include "ops/conv/plan.h"

#include <algorithm>
#include <tuple>
#include <unordered_map>

namespace krypton {
namespace {

// The part of one box that belongs to a class.
struct Rectangle {
  int64_t box;
  int64_t slice;  // pixels before those of its slice
  TapRun y, x;
};

// Calls visit(pixel, row) for the rows of a rectangle.
template <class Visit>
void Rows(const Rectangle& part, const Window& window, const BoxList& x_boxes, const BoxList& y_boxes, int64_t channels,
          const Visit& visit) {
  const Box &source = x_boxes[part.box], &target = y_boxes[part.box];
  const int64_t pitch = window.y.dilation * source.w * channels;
  for (int64_t i = part.y.begin; i < part.y.end; ++i) {
    const int64_t y = target.y0 + i, iy = window.y.Input(y, part.y.lo) - source.y0;
    const int64_t ix = window.x.Input(target.x0 + part.x.begin, part.x.lo) - source.x0;
    int64_t from = (x_boxes.offsets[part.box] + iy * source.w + ix) * channels;
    int64_t row = y_boxes.offsets[part.box] + i * target.w + part.x.begin;
    int64_t pixel = part.slice + y * window.x.out + target.x0 + part.x.begin;
    for (int64_t j = part.x.begin; j < part.x.end; ++j, ++row, ++pixel, from += window.x.stride * channels) {
      visit(ConvRow{from, pitch, row, pixel});
    }
  }
}

// Places the rows of one class pixel by pixel, positions in order: a counting sort over the class's hull.
void PlaceByPixel(const std::vector<Rectangle>& parts, const Window& window, const BoxList& x_boxes,
                  const BoxList& y_boxes, int64_t channels, ConvRow* rows) {
  int64_t first = INT64_MAX, last = 0;
  for (const Rectangle& part : parts) {
    const Box& box = y_boxes[part.box];
    first = std::min(first, part.slice + (box.y0 + part.y.begin) * window.x.out + box.x0 + part.x.begin);
    last = std::max(last, part.slice + (box.y0 + part.y.end - 1) * window.x.out + box.x0 + part.x.end);
  }
  std::vector<int32_t> next(static_cast<size_t>(last - first), 0);
  for (const Rectangle& part : parts) {
    const Box& box = y_boxes[part.box];
    for (int64_t y = box.y0 + part.y.begin; y < box.y0 + part.y.end; ++y) {
      int32_t* counts = next.data() + (part.slice + y * window.x.out + box.x0 + part.x.begin - first);
      for (int64_t j = 0; j < part.x.end - part.x.begin; ++j) ++counts[j];
    }
  }
  int32_t total = 0;
  for (int32_t& count : next) {
    const int32_t here = count;
    count = total;
    total += here;
  }
  for (const Rectangle& part : parts) {
    Rows(part, window, x_boxes, y_boxes, channels, [&](const ConvRow& row) { rows[next[row.pixel - first]++] = row; });
  }
}

}  // namespace

void FindTapRuns(const WindowAxis& axis, int64_t begin, int64_t end, int64_t lo, int64_t hi,
                 std::vector<TapRun>* runs) {
  runs->clear();
  for (int64_t o = begin; o < end; ++o) {
    Range taps = axis.Taps(o, lo, hi);
    if (taps.lo >= taps.hi) taps = {0, 0};
    if (!runs->empty() && runs->back().lo == taps.lo && runs->back().hi == taps.hi) {
      ++runs->back().end;
    } else {
      runs->push_back({o - begin, o - begin + 1, taps.lo, taps.hi});
    }
  }
}

ConvPlan PlanConv(const Ort::KernelContext& context, const Window& window, const BoxList& x_boxes,
                  const BoxList& y_boxes, int64_t channels, int64_t slices, bool by_pixel) {
  struct Class {
    TapRun y, x;
    int64_t count = 0;
    std::vector<Rectangle> parts{};
  };
  ConvPlan plan;
  std::vector<Class> classes;
  // The index of a class by its taps: a table, but for kernels so large that it would fill the memory.
  constexpr int64_t kTable = 1 << 11;
  const int64_t taps = window.y.kernel * window.x.kernel;
  std::vector<int32_t> table(taps <= kTable ? static_cast<size_t>(taps * taps) : 0, -1);
  std::unordered_map<int64_t, int32_t> sparse;
  const auto known = [&](int64_t key) -> int32_t& {
    return taps <= kTable ? table[key] : sparse.try_emplace(key, -1).first->second;
  };
  const auto id = [](const TapRun& run, const WindowAxis& axis) { return run.lo * axis.kernel + run.hi - 1; };
  std::vector<TapRun> runs_y, runs_x;
  for (int64_t b = 0; b < y_boxes.count; ++b) {
    const Box &source = x_boxes[b], &target = y_boxes[b];
    if (target.empty()) continue;
    const bool gone = source.empty();
    const int64_t slice = slices == 1 ? 0 : b % slices * window.y.out * window.x.out;
    FindTapRuns(window.y, target.y0, target.y1(), source.y0, gone ? source.y0 : source.y1(), &runs_y);
    FindTapRuns(window.x, target.x0, target.x1(), source.x0, gone ? source.x0 : source.x1(), &runs_x);
    for (const TapRun& y : runs_y) {
      for (const TapRun& x : runs_x) {
        if (y.lo == y.hi || x.lo == x.hi) {
          for (int64_t i = y.begin; i < y.end; ++i) {
            for (int64_t j = x.begin; j < x.end; ++j) plan.untouched.push_back(y_boxes.offsets[b] + i * target.w + j);
          }
          continue;
        }
        int32_t& index = known(id(y, window.y) * window.x.kernel * window.x.kernel + id(x, window.x));
        if (index < 0) {
          index = static_cast<int32_t>(classes.size());
          classes.push_back({y, x});
        }
        classes[index].count += (y.end - y.begin) * (x.end - x.begin);
        classes[index].parts.push_back({b, slice, y, x});
      }
    }
  }
  // The largest first: uneven tasks balance better.
  std::sort(classes.begin(), classes.end(), [](const Class& a, const Class& b) {
    return a.count != b.count ? a.count > b.count
                              : std::tie(a.y.lo, a.y.hi, a.x.lo, a.x.hi) < std::tie(b.y.lo, b.y.hi, b.x.lo, b.x.hi);
  });
  int64_t total = 0;
  for (const Class& c : classes) {
    plan.classes.push_back({{c.y.lo, c.y.hi}, {c.x.lo, c.x.hi}, total, total + c.count});
    total += c.count;
  }
  plan.rows.resize(static_cast<size_t>(total));
  ParallelFor(context, static_cast<int64_t>(classes.size()), [&](int64_t c) {
    ConvRow* rows = plan.rows.data() + plan.classes[c].first;
    if (by_pixel) {
      PlaceByPixel(classes[c].parts, window, x_boxes, y_boxes, channels, rows);
    } else {
      for (const Rectangle& part : classes[c].parts) {
        Rows(part, window, x_boxes, y_boxes, channels, [&](const ConvRow& row) { *rows++ = row; });
      }
    }
  });
  return plan;
}

}  // namespace krypton
