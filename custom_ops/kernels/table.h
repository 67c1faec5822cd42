// The function table that separates ops from instruction sets. Each instruction set fills one, and one is picked at run
// time; KRYPTON_CPU_ISA=portable|avx2|avx512|avx512bf16|amx forces it.
//
// The convolution is an implicit GEMM, Y [M, N] = A [M, K] B [K, N]: M counts output pixels, K the taps of a window
// times the channels, N the output channels. In the words of BLAS and oneDNN:
//
//   conv_block    is the micro-kernel's loop: all register tiles of one tap set by one block of columns
//   ConvTile      is the tile's kTileRows rows of A (MR), read in place, not packed (an indirection, as in XNNPACK)
//   block of W    is a packed panel of B, block_columns wide (NR), K by K
//   segments      cut K into stretches that are contiguous in A and B; of each a tile lists the k that are not zero
#pragma once

#include <cstdint>

#include "math/functions.h"

namespace krypton {

// Rows of one register tile (MR), for every instruction set.
constexpr int kTileRows = 6;
constexpr int kMaxBlockColumns = 64;

struct ConvRow {
  int64_t source;  // float offset in X of the first tap's pixel
  int64_t pitch;   // floats in X from one tap row (ky) to the next
  int64_t target;  // output row
  int64_t pixel;   // absolute output pixel, y * W + x, of volumes (z * H + y) * W + x: the row of Z0
};

// A stretch of the reduction that is contiguous in X and in W:
// X[source + ky*pitch + x + k] * W[w + k*width + n], k < length.
struct ConvSegment {
  int64_t ky, x, w, length;
};

// Up to kTileRows rows, and for each segment the k at which any of them is not zero. Where the lists are shared (they
// name every k of a segment), all segments start at the same place.
struct ConvTile {
  const ConvRow* rows;
  int64_t count;
  const uint16_t* indices;
  const int32_t* counts;
};

// Some tiles of one tap set, one block of columns: Y[row, n] = sum over segments and k as above.
struct ConvBlock {
  const ConvTile* tiles;
  int64_t tile_count;
  const ConvSegment* segments;
  int64_t segment_count;
  bool shared_indices;
  const float* x;
  const float* w;
  int64_t width;  // columns of this block of W, a multiple of the table's lanes
  float* y;
  int64_t y_stride;
  bool sequential;  // rows of y are 0, 1, 2, ... (scratch) instead of ConvRow::target
  bool accumulate;  // y already holds a partial sum
  const float* z;   // base pre-activation, or null for none
  int64_t z_stride;
  float lo, hi;
};

// One tap of a depthwise convolution: where its pixel lies from the first tap's, and its row of W, one entry a channel.
struct DepthwiseTap {
  int64_t x;
  const float* w;
};

// Neighbouring outputs of one row that share their taps: Y[r, c] = sum over taps of X[r*x_step + tap.x + c] * tap.w[c].
struct DepthwiseStrip {
  const float* x;
  int64_t x_step;
  const DepthwiseTap* taps;
  int64_t tap_count;
  float* y;        // [count, channels]
  const float* z;  // base pre-activation, as y, or null for none
  int64_t count, channels;
  float lo, hi;
};

// Neighbouring pixels of some channels, on their way to rows of more channels: D * scale, then the clip rule with Z.
struct GatherRun {
  const float* x;  // [count, channels], or null for zeros
  int64_t count, channels;
  float* y;
  const int64_t* rows;  // where each pixel's channels start in y
  const float* scale;   // one a channel, or null for none
  const float* z;       // base pre-activation of the first pixel, or null for no clip rule
  int64_t z_stride;     // to that of the next
  float lo, hi;
};

// Lists that conv_block reads have this many entries of slack behind them: they are read ahead.
constexpr int64_t kIndexSlack = 32;

struct SplitKernels;

struct Kernels {
  const char* isa;
  int lanes;          // floats of a vector; packed weights are padded to it
  int block_columns;  // columns of a full block of packed weights, [ky][kx][depth][block_columns]
  void (*conv_block)(const ConvBlock&);
  void (*depthwise)(const DepthwiseStrip&);
  // Bit i of `bits` is set where x[i] is not zero (NaN counts), i < n; unused bits of the last word are zero.
  void (*nonzero_bits)(const float* x, int64_t n, uint64_t* bits);
  // Lists the set bits of `words` in order; writes up to kIndexSlack entries beyond them. Returns their number.
  int32_t (*list_bits)(const uint64_t* words, int64_t n, uint16_t* indices);
  // The clip rule, with c = clip(z): y = min(max(d + (z - c), lo - c), hi - c). Where z and z + d lie
  // in one linear piece this is exactly d or 0.
  void (*clip_row)(float* y, const float* d, const float* z, int64_t n, float lo, float hi);
  // y = max(y, (x0 - y0) + d); d may be null for zero.
  void (*max_row)(float* y, const float* x0, const float* y0, const float* d, int64_t n);
  void (*gather)(const GatherRun&);
  void (*multiply_row)(float* y, const float* x, const float* scale, int64_t n);  // y = x * scale
  void (*add_scaled_row)(float* y, const float* x, float scale, int64_t n);       // y += scale * x
  void (*flush_row)(float* y, int64_t n, float limit);                            // y = 0 where |y| <= limit
  bool (*any_nonzero)(const float* x, int64_t n);                                 // NaN counts
  // y = f(z + d) - f(z), exactly 0 where d is.
  void (*activation_row)(float* y, const float* d, const float* z, int64_t n, const Activation& activation);
  // y = a0 * db + b0 * da + da * db.
  void (*product_row)(float* y, const float* a0, const float* da, const float* b0, const float* db, int64_t n);
  const SplitKernels* split;  // convolution in split precision (split.h), or null
};

const Kernels* PortableKernels();
const Kernels* Avx2Kernels();
const Kernels* Avx512Kernels();
// The AVX-512 kernels with convolution in bfloat16 on dot products, or on AMX; null where the processor or the system
// does not let us use it.
const Kernels* Avx512Bf16Kernels();
const Kernels* AmxKernels();

// The table in use; null with a reason when KRYPTON_CPU_ISA asks for what is not there.
const Kernels* SelectKernels(const char** reason);
// The same after a successful registration.
const Kernels& ActiveKernels();

}  // namespace krypton
