// Convolution in split precision: fp32 numbers as sums of two bfloat16, x = hi + lo, and three of the four products,
//
//   x*w ~ hi(x)*hi(w) + hi(x)*lo(w) + lo(x)*hi(w)      summed in fp32, relative error about 5e-6,
//
// or the first alone, which is plain bfloat16. For processors that multiply bfloat16: matrices of it (AMX), or vectors,
// where three products take longer than one of float32 and only the first alone pays (AVX512_BF16).
#pragma once

#include <cstdint>

#include "kernels/table.h"

namespace krypton {

// Columns of a block of split weights, [block][k][hi of 32 columns, lo of 32 columns], or [block][k][hi of 32 columns]
// for plain bfloat16, with a row of zeros behind the last k; columns beyond the last are zero. Within the 32 they lie
// in SplitKernels::order.
constexpr int64_t kSplitColumns = 32;

// Up to 64 neighbouring k of the reduction: X[source + ky*pitch + x + i] * W[w + i], i < 64.
struct SplitWord {
  int64_t ky, x, w;
};

// Rows that share their list of k: bit i of masks[j] chooses k = i of word j.
struct SplitGroup {
  int64_t count;
  const uint64_t* masks;
};

// Some groups of rows of one tap set, one after another, and all columns. They are convolved together, so that W is
// fetched once for all of them.
struct SplitBlock {
  const ConvRow* rows;
  const SplitGroup* groups;
  int64_t group_count;
  const SplitWord* words;
  int64_t word_count;
  const uint16_t *x_hi, *x_lo;  // X; x_lo null for plain bfloat16. 64 entries behind the last are readable
  const uint16_t* w;
  int64_t depth;  // k in all, the number of the row of zeros
  int64_t columns;
  float* y;  // the output row `target` starts at y + target * y_stride
  int64_t y_stride;
  const float* z;  // base pre-activation, or null for none
  int64_t z_stride;
  float lo, hi;
};

// The costs of a convolution, in cycles as they were fitted to measurements (docs/experiments.md).
struct SplitCosts {
  double vectors;         // multiply-adds a cycle of float32 vectors,
  double triple, single;  // of bfloat16x3, 0 where it is not offered, and of plain bfloat16
  double split, stage;    // cycles to split an entry of X, and to stage one of a row
  double share, growth;   // the share of k in a strip's list is share + growth * density of X
};

struct SplitKernels {
  void (*split)(const float* x, int64_t n, uint16_t* hi, uint16_t* lo);  // lo may be null
  void (*conv_block)(const SplitBlock&);
  const uint8_t* order;  // column order[i] of a block of W lies at i; null for i itself
  int64_t strip_rows;    // rows that are looked at together; a group is one or several of these
  int64_t gather_cost;   // of a k in a group's list, in rows multiplied meanwhile; 0 leaves every strip by itself
  int64_t fewest_rows;   // of one tap set from which on the kernels are full enough
  double dense;          // share of non-zeros from which on lists are not worth their making
  SplitCosts costs;
};

// Null where the processor or the system does not offer it.
const SplitKernels* AmxSplitKernels();
const SplitKernels* Bf16SplitKernels();

}  // namespace krypton
