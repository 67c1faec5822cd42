#include "cuda/conv/tiles.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "ops/conv/plan.h"

namespace krypton::cuda {
namespace {

struct Class {
  int64_t rows = 0;
  std::vector<Part> parts{};
  std::vector<int64_t> starts{};
};

// The taps of a class: ky0, ky1, kx0, kx1.
using Taps = std::tuple<int32_t, int32_t, int32_t, int32_t>;

int64_t Area(const Taps& taps) {
  const auto& [ky0, ky1, kx0, kx1] = taps;
  return int64_t{ky1 - ky0} * (kx1 - kx0);
}

// Appends the tiles of one class.
void Cut(const Taps& taps, const Class& rows, int64_t tile_rows, TileList* list) {
  const auto& [ky0, ky1, kx0, kx1] = taps;
  const auto base = static_cast<int32_t>(list->parts.size());
  list->parts.insert(list->parts.end(), rows.parts.begin(), rows.parts.end());
  list->starts.insert(list->starts.end(), rows.starts.begin(), rows.starts.end());
  size_t begin = 0;
  for (int64_t first = 0; first < rows.rows; first += tile_rows) {
    const int64_t last = std::min(first + tile_rows, rows.rows);
    while (begin + 1 < rows.starts.size() && rows.starts[begin + 1] <= first) ++begin;
    size_t end = begin + 1;
    while (end < rows.starts.size() && rows.starts[end] < last) ++end;
    list->tiles.push_back({ky0, ky1, kx0, kx1, base + static_cast<int32_t>(begin), base + static_cast<int32_t>(end),
                           first, static_cast<int32_t>(last - first)});
  }
}

}  // namespace

TileList ListTiles(const Window& window, const BoxList& x_boxes, const BoxList& y_boxes, int64_t tile_rows) {
  std::map<Taps, Class> classes;
  std::vector<TapRun> runs_y, runs_x;
  for (int64_t b = 0; b < y_boxes.count; ++b) {
    const Box &source = x_boxes[b], &target = y_boxes[b];
    if (target.empty()) continue;
    const bool gone = source.empty();
    FindTapRuns(window.y, target.y0, target.y1(), source.y0, gone ? source.y0 : source.y1(), &runs_y);
    FindTapRuns(window.x, target.x0, target.x1(), source.x0, gone ? source.x0 : source.x1(), &runs_x);
    for (const TapRun& y : runs_y) {
      for (const TapRun& x : runs_x) {
        // Pixels that nothing reaches: no taps at all, and the result is zero.
        const bool none = y.lo == y.hi || x.lo == x.hi;
        const Taps taps = none ? Taps{0, 0, 0, 0}
                               : Taps{static_cast<int32_t>(y.lo), static_cast<int32_t>(y.hi),
                                      static_cast<int32_t>(x.lo), static_cast<int32_t>(x.hi)};
        Class& rows = classes[taps];
        const auto width = static_cast<int32_t>(x.end - x.begin);
        rows.parts.push_back({static_cast<int32_t>(b), static_cast<int32_t>(target.y0 + y.begin),
                              static_cast<int32_t>(target.x0 + x.begin), width});
        rows.starts.push_back(rows.rows);
        rows.rows += (y.end - y.begin) * width;
      }
    }
  }
  std::vector<std::pair<Taps, const Class*>> order;
  for (const auto& [taps, rows] : classes) order.emplace_back(taps, &rows);
  std::stable_sort(order.begin(), order.end(),
                   [](const auto& a, const auto& b) { return Area(a.first) > Area(b.first); });
  TileList list;
  for (const auto& [taps, rows] : order) Cut(taps, *rows, tile_rows, &list);
  return list;
}

TileList ListPixelTiles(const Window& window, const BoxList& x_boxes, const BoxList& y_boxes, int64_t tile_rows) {
  // A counting sort of all rows by their pixel; positions keep their order.
  const MapShape map = window.output();
  std::vector<int64_t> next(static_cast<size_t>(map.h * map.w) + 1, 0);
  const auto each = [&](const auto& visit) {
    for (int64_t b = 0; b < y_boxes.count; ++b) {
      const Box& box = y_boxes[b];
      for (int64_t y = box.y0; y < box.y1() && !box.empty(); ++y) {
        for (int64_t x = box.x0; x < box.x1(); ++x) visit(b, y, x);
      }
    }
  };
  each([&](int64_t, int64_t y, int64_t x) { ++next[y * map.w + x + 1]; });
  TileList list;
  const auto pixels = static_cast<int64_t>(std::count_if(next.begin(), next.end(), [](int64_t n) { return n > 0; }));
  constexpr int64_t kEmptiest = 8;  // tiles that are an eighth full pay nowhere
  if (y_boxes.rows() * kEmptiest < pixels * tile_rows) return list;
  for (size_t p = 1; p < next.size(); ++p) next[p] += next[p - 1];
  const std::vector<int64_t> first = next;
  list.parts.resize(static_cast<size_t>(y_boxes.rows()));
  each([&](int64_t b, int64_t y, int64_t x) {
    list.parts[next[y * map.w + x]++] = {static_cast<int32_t>(b), static_cast<int32_t>(y), static_cast<int32_t>(x), 1};
  });
  list.starts.resize(list.parts.size());
  for (size_t r = 0; r < list.starts.size(); ++r) list.starts[r] = static_cast<int64_t>(r);
  for (size_t p = 0; p + 1 < first.size(); ++p) {
    for (int64_t from = first[p]; from < first[p + 1]; from += tile_rows) {
      const int64_t to = std::min(from + tile_rows, first[p + 1]);
      Range ys{window.y.kernel, 0}, xs{window.x.kernel, 0};
      for (int64_t r = from; r < to; ++r) {
        const Part& part = list.parts[r];
        const Box& source = x_boxes[part.box];
        if (source.empty()) continue;
        const Range y = window.y.Taps(part.y, source.y0, source.y1()),
                    x = window.x.Taps(part.x, source.x0, source.x1());
        if (y.lo == y.hi || x.lo == x.hi) continue;
        ys = {std::min(ys.lo, y.lo), std::max(ys.hi, y.hi)}, xs = {std::min(xs.lo, x.lo), std::max(xs.hi, x.hi)};
      }
      if (ys.lo >= ys.hi) ys = xs = {0, 0};
      list.tiles.push_back({static_cast<int32_t>(ys.lo), static_cast<int32_t>(ys.hi), static_cast<int32_t>(xs.lo),
                            static_cast<int32_t>(xs.hi), static_cast<int32_t>(from), static_cast<int32_t>(to), from,
                            static_cast<int32_t>(to - from)});
    }
  }
  return list;
}

int64_t CountTaps(const TileList& list) {
  int64_t taps = 0;
  for (const Tile& tile : list.tiles) taps += int64_t{tile.ky1 - tile.ky0} * (tile.kx1 - tile.kx0);
  return taps;
}

TileList ListGemmTiles(const BoxList& boxes, int64_t depth, int64_t tile_rows) {
  TileList list;
  const int64_t positions = boxes.count / depth;
  for (int64_t first = 0; first < positions; first += tile_rows) {
    const int64_t last = std::min(first + tile_rows, positions);
    Box hull{0, 0, 0, 0};
    for (int64_t b = first * depth; b < last * depth; ++b) hull = Hull(hull, boxes[b]);
    const auto part = static_cast<int32_t>(list.parts.size());
    for (int64_t position = first; position < last; ++position) {
      list.parts.push_back({static_cast<int32_t>(position), 0, 0, 1});
      list.starts.push_back(position);
    }
    list.tiles.push_back({hull.y0, static_cast<int32_t>(hull.y1()), hull.x0, static_cast<int32_t>(hull.x1()), part,
                          part + static_cast<int32_t>(last - first), first, static_cast<int32_t>(last - first)});
  }
  return list;
}

}  // namespace krypton::cuda
