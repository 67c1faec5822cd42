// The arguments of a delta convolution's kernel, and the small records that its threads keep of a tile.
#pragma once

#include "cuda/conv/tiles.h"
#include "cuda/device/boxes.h"

namespace krypton::cuda {

struct ConvArguments {
  const float* x;
  DeviceBoxes x_boxes, y_boxes;
  int64_t box_depth;  // boxes of x a position: the slices that a Gemm of volumes reads; 1 elsewhere
  WindowAxis window_y, window_x;
  const float* w;  // [group][tap][depth][w_pitch]
  int64_t w_pitch, w_group;
  float* y;
  BaseMap z;  // data is null where no clip rule follows
  float lo, hi;
  const float* b;  // another delta to be added, on boxes of its own; null for none
  DeviceBoxes b_boxes;
  DeviceLimit limit;
  const Tile* tiles;
  const Part* parts;
  const int64_t* starts;
  int64_t channels, depth, maps, columns;  // of X; of a group; of Y; of a group
  const uint16_t* lists;                   // [pixel of X][depth], channels of a delta; null where k runs over all
  const int32_t* counts;                   // [pixel of X], of its list
  // Stretches that all tiles with lists take, counted on the device, and those without: both kinds are launched, and
  // one of them finds that it is not wanted. Null where there is one kind.
  const uint64_t* list_stretches;
  uint64_t class_stretches;
  bool joined;  // neighbouring taps are one stretch of X and of W
  bool single;  // one TF32 product instead of three
  bool inside;  // every tap of a tile reads inside the boxes of all its rows
};

// The reach of a tile's taps: inside the deltas of all its rows, or of some; or the channels of their lists.
enum class Reads { kInside, kAnywhere, kLists };

// One output pixel: where tap (0, 0) reads in its box of X, the box, and where the result goes.
struct TileRow {
  int64_t source;                // the box's first row
  int64_t target, pixel, added;  // added: the row of B, or -1
  int64_t entry;                 // of X, that tap (0, 0) reads first
  int32_t box, y, x, h, w;       // y and x in the box, which is h x w
  int32_t line;                  // entries of a row of the box
};

// A stretch of the reduction: k entries from `k` on of one tap, or of the joined taps of one row of the window.
struct Stretch {
  int32_t z, ky, kx;
  int64_t k, length;  // of all the tap's entries
};

// The beginning of the next stretch, for tiles that read inside.
struct Cursor {
  int32_t ky, kx, k, length;  // of all the tap's entries
};

}  // namespace krypton::cuda
