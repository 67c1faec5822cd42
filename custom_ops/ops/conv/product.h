// The product of a convolution: rows of one tap set by all columns, on fp32 vectors or in split precision, with the
// clip rule as the epilogue. What it multiplies may lie where an op found it, or be gathered just before (ConcatConv).
#pragma once

#include <cstdint>
#include <vector>

#include "op/packed_weights.h"
#include "ops/conv/call.h"
#include "ops/conv/plan.h"
#include "ops/conv/split.h"
#include "ops/conv/tiles.h"

namespace krypton {

struct ConvWeights {
  const float* data;  // W [M, C/G, taps]
  const std::vector<int64_t>& dims;
};

// What the rows are read from: their sources count from here.
struct ConvSource {
  const float* x;
  const NonzeroMap* nonzero = nullptr;          // null where lists are not worth their making
  const uint16_t *hi = nullptr, *lo = nullptr;  // the pieces of x; without, there is no split precision
};

class ConvProduct {
 public:
  explicit ConvProduct(const ConvAttributes& attributes) : attributes_(attributes) {}

  // The kernels of split precision where they beat fp32 vectors at this density; else null.
  const SplitKernels* Split(const ConvShape& shape, double density) const;
  // Whether lists of non-zeros are worth their making.
  static bool IsSparse(const SplitKernels* split, double density);
  // Whether both pieces are multiplied.
  bool TakesLow() const { return attributes_.precision == Precision::kBfloat16x3; }

  // Writes rows[0 .. count) of the tap class `c`: Y[row.target], clipped by Z0 at row.pixel where z has any.
  void Multiply(const ConvWeights& weights, const ConvShape& shape, const TapClass& c, const ConvRow* rows,
                int64_t count, const ConvSource& source, const SplitKernels* split, const BaseMap& z, float* y) const;

  const ConvAttributes& attributes() const { return attributes_; }

 private:
  void Segments(const TapClass& c, const ConvShape& shape, int64_t width, std::vector<ConvSegment>* segments) const;
  void Columns(const float* packed, const ConvShape& shape, const TapClass& c, const ConvRow* rows, int64_t count,
               const ConvSource& source, const BaseMap& z, float* y) const;
  void RaggedColumns(ConvBlock block, int64_t columns, float* y, int64_t y_stride) const;
  template <class Pack>
  const float* PackedOnce(PackedWeights* kept, const ConvWeights& weights, const ConvShape& shape,
                          const Pack& pack) const;

  ConvAttributes attributes_;
  mutable PackedWeights packed_, split_packed_;
};

// W [M, C/g, kD, kH, kW] -> [M, kD, C/g, kH, kW], the order of DepthGather's channels.
std::vector<float> GatheredOrder(const float* w, const ConvShape& shape, int64_t taps);

}  // namespace krypton
