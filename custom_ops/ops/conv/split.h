// The convolution in split precision (kernels/split.h): what is prepared once a model, once a call, and once a group of
// rows that share one list of non-zeros.
#pragma once

#include <vector>

#include "kernels/split.h"
#include "op/packed_weights.h"
#include "ops/conv/tiles.h"

namespace krypton {

// Room for two bfloat16 pieces of so many numbers, or for one; zeros behind them, which kernels read.
class SplitScratch {
 public:
  void Resize(int64_t size, bool low);
  uint16_t* hi() const { return reinterpret_cast<uint16_t*>(hi_.data()); }
  uint16_t* lo() const { return low_ ? reinterpret_cast<uint16_t*>(lo_.data()) : nullptr; }

 private:
  bool low_ = false;
  AlignedBuffer hi_, lo_;  // on a cache line, as most pixels then are: a load over two lines takes twice as long
};

// X as such pieces.
SplitScratch SplitValues(const Ort::KernelContext& context, const SplitKernels& kernels, const Values& x, bool low);

// W [M, C, kH, kW] -> [block of 32 maps][ky][kx][C][hi, and lo with `low`], a row of zeros behind each block.
AlignedFloats PackSplit(const SplitKernels& kernels, const float* w, int64_t maps, int64_t channels, int64_t taps,
                        bool low);

// Cuts rows of one tap set into groups and convolves them. `segments` as for tiles, with w counted in k; `nonzero` is
// null where lists are not worth their making; `block` holds everything but rows and words.
void ConvGroups(const SplitKernels& kernels, const ConvRow* rows, int64_t count,
                const std::vector<ConvSegment>& segments, const NonzeroMap* nonzero, SplitBlock block);

}  // namespace krypton
