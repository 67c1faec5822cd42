// The function table that separates ops from instruction sets. One implementation a table, picked
// at run time; KRYPTON_CPU_ISA=portable|avx2|avx512 forces one.
#pragma once

#include <cstdint>

namespace krypton {

// Packed weights are panels of 16 output columns, [panel][ky][kx][depth][16], for every ISA.
constexpr int kPanel = 16;
constexpr int kMaxPanels = 2;  // columns of one block: 32

struct ConvRow {
  int64_t source;  // float offset in X of the first tap's pixel
  int64_t pitch;   // floats in X from one tap row (ky) to the next
  int64_t target;  // output row
  int64_t pixel;   // absolute output pixel, y * W + x: the row of Z0
};

// One set of taps, some rows, one block of columns:
//   Y[row, n] = sum over ky, kx, c of X[source + ky*pitch + kx*x_kx + c] * W[ky, kx, c, n]
struct ConvBlock {
  const ConvRow* rows;
  int64_t count;
  const float* x;
  int64_t x_kx;                   // floats in X from one kx to the next
  int64_t taps_y, taps_x, depth;  // sizes of the reduction
  const float* w;
  int64_t w_ky, w_kx, w_panel;  // floats in W
  int panels;
  float* y;
  int64_t y_stride;
  bool sequential;  // rows of y are 0, 1, 2, ... (scratch) instead of ConvRow::target
  bool accumulate;  // y already holds a partial sum
  const float* z;   // base pre-activation, or null for none
  int64_t z_stride;
  float lo, hi;
};

struct Kernels {
  const char* isa;
  void (*conv_block)(const ConvBlock&);
  // The clip rule, with c = clip(z): y = min(max(d + (z - c), lo - c), hi - c). Where z and z + d lie
  // in one linear piece this is exactly d or 0.
  void (*clip_row)(float* y, const float* d, const float* z, int64_t n, float lo, float hi);
  // y = max(y, (x0 - y0) + d); d may be null for zero.
  void (*max_row)(float* y, const float* x0, const float* y0, const float* d, int64_t n);
  void (*multiply_add_row)(float* y, const float* a, const float* b, int64_t n);  // y += a * b
  void (*add_scaled_row)(float* y, const float* x, float scale, int64_t n);       // y += scale * x
  bool (*any_nonzero)(const float* x, int64_t n);                                 // NaN counts
};

const Kernels* PortableKernels();
const Kernels* Avx2Kernels();
const Kernels* Avx512Kernels();

// The table in use; null with a reason when KRYPTON_CPU_ISA asks for what is not there.
const Kernels* SelectKernels(const char** reason);
// The same after a successful registration.
const Kernels& ActiveKernels();

}  // namespace krypton
