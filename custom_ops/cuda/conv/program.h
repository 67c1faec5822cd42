// The work of one block of threads on one tile of a delta convolution, in the pieces of which block.h makes a kernel.
// It is an implicit GEMM on tensor cores,
//
//   A [kRows, k]  rows of X, gathered: the pixel that the tap reads, zero where the delta ends (never copied)
//   B [k, kColumns]  the tap's rows of W
//   Y += A B, k in stretches of kDepth that run through a ring of kStages buffers
//
// With `lists` a tile is one output pixel of many positions, and k runs over the channels alone in which any of them
// has a delta there: what the lists leave out is zero in every row.
//
// Products are made of TF32 pieces, x = hi + lo: three of them, lo hi + hi lo + hi hi, keep 21 bits, which is float32
// for all that a sum of them can tell. Tensor cores cut sums off where float32 rounds, so each stretch is summed from
// zero and added in float32 (Ootomo and Yokota, 2022).
#pragma once

#include "cuda/conv/arguments.h"
#include "cuda/conv/tf32.h"

namespace krypton::cuda {

#include "math/clip_rule.inl.h"

template <int kTileRows, int kTileColumns, int kTileDepth>
struct ConvProgram {
  static constexpr int kRows = kTileRows, kColumns = kTileColumns, kDepth = kTileDepth;
  static constexpr int kWarpRows = 64, kWarpColumns = 32;
  static constexpr int kWarpsDown = kRows / kWarpRows, kWarpsAcross = kColumns / kWarpColumns;
  static constexpr int kThreads = 32 * kWarpsDown * kWarpsAcross;
  static constexpr int kStages = 3;
  static constexpr int kTilesM = kWarpRows / 16, kTilesN = kWarpColumns / 8;
  // Rows of the buffers are padded so that a warp's lanes read from 32 banks.
  static constexpr int kPitchA = kDepth + 4, kPitchB = kColumns + 8;

  // Whether tiles of this kind are those to run. A stretch with lists costs more: its channels are copied one by one.
  KRYPTON_DEVICE static bool Wanted(const ConvArguments& g, bool with_lists) {
    if (g.list_stretches == nullptr) return true;
    return (*g.list_stretches * 4 < g.class_stretches * 3) == with_lists;
  }

  // Taps of a window that has lists.
  static constexpr int kMostTaps = 64;

  struct Shared {
    int32_t counts[kMostTaps];  // channels of each tap's list
    float a[kStages][kRows][kPitchA];
    float b[kStages][kDepth][kPitchB];
    TileRow rows[kRows];
  };

  struct Registers {
    FragmentC sums[kTilesM][kTilesN], parts[kTilesM][kTilesN];
  };

  KRYPTON_DEVICE static int64_t Cuts(int64_t length) { return (length + kDepth - 1) / kDepth; }

  // The pixel of X that a tap of a tile with lists reads, or -1 beside the map.
  KRYPTON_DEVICE static int64_t TapPixel(const ConvArguments& g, const Tile& tile, int32_t ky, int32_t kx) {
    const Part part = g.parts[tile.begin];
    const int64_t y = g.window_y.Input(part.y, ky), x = g.window_x.Input(part.x, kx);
    if (y < 0 || y >= g.window_y.in || x < 0 || x >= g.window_x.in) return -1;
    return y * g.window_x.in + x;
  }

  KRYPTON_DEVICE static int64_t PieceLength(const ConvArguments& g, const Tile& tile) {
    return g.joined ? (tile.kx1 - tile.kx0) * g.depth : g.depth;
  }

  KRYPTON_DEVICE static int64_t Stretches(const ConvArguments& g, const Tile& tile, const Shared& shared) {
    if (g.lists != nullptr) {
      int64_t total = 0;
      for (int tap = 0; tap < (tile.ky1 - tile.ky0) * (tile.kx1 - tile.kx0); ++tap) total += Cuts(shared.counts[tap]);
      return total;
    }
    const int64_t pieces = g.joined ? (tile.kx1 > tile.kx0 ? 1 : 0) : tile.kx1 - tile.kx0;
    return g.box_depth * (tile.ky1 - tile.ky0) * pieces * Cuts(PieceLength(g, tile));
  }

  KRYPTON_DEVICE static Stretch StretchAt(const ConvArguments& g, const Tile& tile, int64_t index,
                                          const Shared& shared) {
    if (g.lists != nullptr) {
      int32_t tap = 0;
      while (index >= Cuts(shared.counts[tap])) index -= Cuts(shared.counts[tap++]);
      const int32_t across = tile.kx1 - tile.kx0;
      return {0, tile.ky0 + tap / across, tile.kx0 + tap % across, index * kDepth, shared.counts[tap]};
    }
    const int64_t length = PieceLength(g, tile), cuts = Cuts(length);
    const int64_t pieces = g.joined ? 1 : tile.kx1 - tile.kx0, rows = tile.ky1 - tile.ky0;
    const int64_t piece = index / cuts;
    return {static_cast<int32_t>(piece / pieces / rows), static_cast<int32_t>(tile.ky0 + piece / pieces % rows),
            static_cast<int32_t>(tile.kx0 + piece % pieces), index % cuts * kDepth, length};
  }

  // Fetches the stretch at the cursor and moves it on: what Load does, without a division or a look at a box. Addresses
  // of what is not there are worked out too, so that nothing branches; nothing is read from them.
  template <class Thread>
  KRYPTON_KERNEL static void LoadInside(Thread& self, const ConvArguments& g, const Tile& tile, int stage,
                                        int64_t column, int64_t group, Cursor& at, Shared& shared) {
    const int thread = self.index();
    constexpr int kQuads = kDepth / 4, kRowStep = kThreads / kQuads;
    constexpr int kWide = kColumns / 4, kDeepStep = kThreads / kWide;
    const int q = thread % kQuads * 4, n = thread % kWide * 4, deep = thread / kWide;
    const bool in_depth = at.k + q < at.length, in_columns = column + n < g.columns;
    const auto down = static_cast<int32_t>(at.ky * g.window_y.dilation);
    const float* x = g.x + at.kx * g.window_x.dilation * g.channels + group * g.depth + at.k + q;
    KRYPTON_UNROLL
    for (int j = 0; j < kRows / kRowStep; ++j) {
      const int r = thread / kQuads + j * kRowStep;
      const TileRow& row = shared.rows[r];
      const bool there = row.target >= 0 && in_depth;
      self.template Copy<16>(&shared.a[stage][r][q], x + (row.entry + int64_t{down} * row.line), there);
    }
    const int64_t tap = at.ky * g.window_x.kernel + at.kx;
    const float* w = g.w + group * g.w_group + (tap * g.depth + at.k + deep) * g.w_pitch + column + n;
    KRYPTON_UNROLL
    for (int k = deep, j = 0; j < kDepth / kDeepStep; ++j, k += kDeepStep) {
      const bool there = in_columns && at.k + k < at.length;
      self.template Copy<16>(&shared.b[stage][k][n], w, there);
      w += kDeepStep * g.w_pitch;
    }
    at.k += kDepth;
    if (at.k < at.length) return;
    at.k = 0;
    if (g.joined || ++at.kx == tile.kx1) at.kx = tile.kx0, ++at.ky;
  }

  // Finds the tile's rows; the first piece.
  KRYPTON_DEVICE static void Begin(int thread, const ConvArguments& g, const Tile& tile, Shared& shared) {
    const int32_t across = tile.kx1 - tile.kx0, taps = (tile.ky1 - tile.ky0) * across;
    for (int tap = thread; g.lists != nullptr && tap < taps; tap += kThreads) {
      const int64_t pixel = TapPixel(g, tile, tile.ky0 + tap / across, tile.kx0 + tap % across);
      shared.counts[tap] = pixel < 0 ? 0 : g.counts[pixel];
    }
    for (int r = thread; r < kRows; r += kThreads) {
      TileRow& row = shared.rows[r];
      if (r >= tile.count) {
        row = {0, -1, 0, -1, 0, 0, 0, 0, 0, 0, 0};
        continue;
      }
      int32_t lo = tile.begin, hi = tile.end;  // starts[lo] <= the row < starts[hi]
      while (hi - lo > 1) {
        const int32_t middle = (lo + hi) / 2;
        if (g.starts[middle] <= tile.first + r) {
          lo = middle;
        } else {
          hi = middle;
        }
      }
      const Part part = g.parts[lo];
      const auto local = static_cast<int32_t>(tile.first + r - g.starts[lo]);
      const int64_t y = part.y + local / part.width, x = part.x + local % part.width;
      const Box source = g.x_boxes.boxes[part.box * g.box_depth];
      row.source = g.x_boxes.offsets[part.box * g.box_depth];
      row.target = g.y_boxes.RowOf(part.box, y, x);
      row.pixel = g.z.data == nullptr ? 0 : (g.z.pixel(part.box, y, x) - g.z.data) / g.z.channels;
      row.added = g.b == nullptr ? -1 : g.b_boxes.RowOf(part.box, y, x);
      row.box = part.box;
      row.y = static_cast<int32_t>(g.window_y.Input(y, 0) - source.y0);
      row.x = static_cast<int32_t>(g.window_x.Input(x, 0) - source.x0);
      row.h = source.h, row.w = source.w;
      row.entry = (row.source + int64_t{row.y} * row.w + row.x) * g.channels;
      row.line = static_cast<int32_t>(row.w * g.channels);
    }
  }

  // The row of X that a tap reads for an output pixel, or -1 where its delta ends.
  KRYPTON_DEVICE static int64_t SourceRow(const ConvArguments& g, const TileRow& row, const Stretch& at) {
    if (row.target < 0) return -1;
    if (g.box_depth == 1) {
      const int64_t y = row.y + at.ky * g.window_y.dilation, x = row.x + at.kx * g.window_x.dilation;
      if (y < 0 || y >= row.h || x < 0 || x >= row.w) return -1;
      return row.source + y * row.w + x;
    }
    return g.x_boxes.RowOf(row.box * g.box_depth + at.z, g.window_y.Input(0, at.ky), g.window_x.Input(0, at.kx));
  }

  // Fetches a stretch of A and B into one stage of the ring. With kVectors all rows of both are multiples of four; with
  // kLists the channels are those of the tap's list.
  template <bool kVectors, bool kLists, class Thread>
  KRYPTON_KERNEL static void Load(Thread& self, const ConvArguments& g, const Tile& tile, int64_t index, int64_t column,
                                  int64_t group, Shared& shared) {
    const int thread = self.index();
    const Stretch at = StretchAt(g, tile, index, shared);
    [[maybe_unused]] const uint16_t* list = nullptr;
    if constexpr (kLists) list = g.lists + TapPixel(g, tile, at.ky, at.kx) * g.depth + at.k;
    const int stage = static_cast<int>(index % kStages);
    for (int i = thread; i < kRows * (kDepth / 4); i += kThreads) {
      const int r = i / (kDepth / 4), q = i % (kDepth / 4) * 4;
      const int64_t source = SourceRow(g, shared.rows[r], at);
      const float* from = source < 0 ? g.x : g.x + source * g.channels + group * g.depth + (kLists ? 0 : at.k + q);
      float* to = &shared.a[stage][r][q];
      if constexpr (kLists) {
        for (int j = 0; j < 4; ++j) {
          const bool there = source >= 0 && at.k + q + j < at.length;
          self.template Copy<4>(to + j, there ? from + list[q + j] : g.x, there);
        }
      } else if constexpr (kVectors) {
        const bool there = source >= 0 && at.k + q < at.length;
        self.template Copy<16>(to, there ? from : g.x, there);
      } else {
        for (int j = 0; j < 4; ++j) {
          const bool there = source >= 0 && at.k + q + j < at.length;
          self.template Copy<4>(to + j, there ? from + j : g.x, there);
        }
      }
    }
    const int64_t tap = (at.z * g.window_y.kernel + at.ky) * g.window_x.kernel + at.kx;
    const float* w = g.w + group * g.w_group + (tap * g.depth + (kLists ? 0 : at.k)) * g.w_pitch + column;
    for (int i = thread; i < kDepth * (kColumns / 4); i += kThreads) {
      const int k = i / (kColumns / 4), n = i % (kColumns / 4) * 4;
      float* to = &shared.b[stage][k][n];
      const bool row_there = at.k + k < at.length;
      int64_t channel = k;
      if constexpr (kLists) channel = row_there ? list[k] : 0;
      if constexpr (kVectors) {
        const bool there = row_there && column + n < g.columns;  // the rest of the four is padding, zeros
        self.template Copy<16>(to, there ? w + channel * g.w_pitch + n : g.w, there);
      } else {
        for (int j = 0; j < 4; ++j) {
          const bool there = row_there && column + n + j < g.columns;
          self.template Copy<4>(to + j, there ? w + channel * g.w_pitch + n + j : g.w, there);
        }
      }
    }
  }

  KRYPTON_DEVICE static void Clear(FragmentC (&fragments)[kTilesM][kTilesN]) {
    KRYPTON_UNROLL
    for (int m = 0; m < kTilesM; ++m) {
      KRYPTON_UNROLL
      for (int n = 0; n < kTilesN; ++n) fragments[m][n] = {};
    }
  }

  KRYPTON_DEVICE static void AddParts(Registers& registers) {
    KRYPTON_UNROLL
    for (int m = 0; m < kTilesM; ++m) {
      KRYPTON_UNROLL
      for (int n = 0; n < kTilesN; ++n) {
        KRYPTON_UNROLL
        for (int i = 0; i < 4; ++i) registers.sums[m][n].v[i] += registers.parts[m][n].v[i];
      }
    }
  }

  // A warp whose rows all lie beyond the tile's has nothing to do.
  KRYPTON_DEVICE static bool Idle(int warp, const Tile& tile) { return warp / kWarpsAcross * kWarpRows >= tile.count; }

  template <bool kSingle>
  KRYPTON_DEVICE static FragmentA LoadA(int warp, int lane, int m, int step, int stage, const Shared& shared) {
    const int row = warp / kWarpsAcross * kWarpRows + m * 16 + lane / 4, k = step * 8 + lane % 4;
    const auto& a = shared.a[stage];
    return {{Split<kSingle>(a[row][k]), Split<kSingle>(a[row + 8][k]), Split<kSingle>(a[row][k + 4]),
             Split<kSingle>(a[row + 8][k + 4])}};
  }

  template <bool kSingle>
  KRYPTON_DEVICE static FragmentB LoadB(int warp, int lane, int n, int step, int stage, const Shared& shared) {
    const int column = warp % kWarpsAcross * kWarpColumns + n * 8 + lane / 4, k = step * 8 + lane % 4;
    const auto& b = shared.b[stage];
    return {{Split<kSingle>(b[k][column]), Split<kSingle>(b[k + 4][column])}};
  }

  // Adds B, applies the clip rule and writes what a thread holds.
  KRYPTON_DEVICE static void Store(int thread, const ConvArguments& g, int64_t column, int64_t group,
                                   const Shared& shared, const Registers& registers) {
    const int warp = thread / 32, lane = thread % 32;
    KRYPTON_UNROLL
    for (int m = 0; m < kTilesM; ++m) {
      KRYPTON_UNROLL
      for (int half = 0; half < 2; ++half) {
        const TileRow& row = shared.rows[warp / kWarpsAcross * kWarpRows + m * 16 + half * 8 + lane / 4];
        if (row.target < 0) continue;
        KRYPTON_UNROLL
        for (int n = 0; n < kTilesN; ++n) {
          KRYPTON_UNROLL
          for (int j = 0; j < 2; ++j) {
            const int64_t c = column + warp % kWarpsAcross * kWarpColumns + n * 8 + lane % 4 * 2 + j;
            if (c >= g.columns) continue;
            const int64_t map = group * g.columns + c;
            float d = registers.sums[m][n].v[half * 2 + j];
            if (row.added >= 0) d += g.b[row.added * g.maps + map];
            if (g.z.data != nullptr) d = ClipRuleScalar(d, g.z.data[row.pixel * g.maps + map], g.lo, g.hi);
            g.y[row.target * g.maps + map] = g.limit(d);
          }
        }
      }
    }
  }
};

}  // namespace krypton::cuda
