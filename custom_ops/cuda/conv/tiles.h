// The tile list of a delta convolution on the GPU, worked out on the host from the boxes alone (DESIGN section 7).
//
// Output pixels that read the same taps of their deltas form a class; its pixels, from all boxes, are numbered part by
// part and cut into tiles of equal size. A tile runs the taps of its class and no others, so it multiplies exactly what
// a delta can change, but for the last tile of each class, which is not full.
//
//   for tile: for tap in tile: Y[rows of the tile, :] += X[rows moved by the tap, :] * W[tap]
#pragma once

#include <cstdint>
#include <vector>

#include "geometry/window.h"

namespace krypton::cuda {

// Pixels of one box that share their taps: rows of `width` pixels from (y, x) on, in coordinates of the map.
struct Part {
  int32_t box, y, x, width;
};

// Rows [first, first + count) of the class whose parts are [begin, end); starts[p] is the first row of part p.
struct Tile {
  int32_t ky0, ky1, kx0, kx1;
  int32_t begin, end;
  int64_t first;
  int32_t count;
  int32_t unused = 0;  // as long as its parts say it is, for the sanitizers' and compilers' sake
};

struct TileList {
  std::vector<Part> parts;
  std::vector<int64_t> starts;  // one a part
  std::vector<Tile> tiles;      // the longest first: they start while others are left to fill the gaps
};

TileList ListTiles(const Window& window, const BoxList& x_boxes, const BoxList& y_boxes, int64_t tile_rows);

// The same pixel by pixel: a tile holds one output pixel of many positions, whose deltas are zero in nearly the same
// channels, and its taps are the hull of theirs. None where most of a tile would be empty.
TileList ListPixelTiles(const Window& window, const BoxList& x_boxes, const BoxList& y_boxes, int64_t tile_rows);

// Taps of all tiles, each as often as tiles have it.
int64_t CountTaps(const TileList& list);

// The same for a Gemm of flattened maps, which is a convolution whose window is the whole map: a row is a position, and
// a tile's taps are the hull of its positions' boxes, `depth` of them each.
TileList ListGemmTiles(const BoxList& boxes, int64_t depth, int64_t tile_rows);

}  // namespace krypton::cuda
