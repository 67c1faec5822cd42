// The tables of Resample, one for each axis: output o is the sum over t of weight[o,t] * input[index[o,t]]
// (krypton_compile/reference/moves.py). Resize, Pad that mirrors, Slice and the zeros that ConvTranspose puts between
// pixels are such.
#pragma once

#include <cstdint>
#include <vector>

#include "math/device.h"

namespace krypton {

struct ResampleAxis {
  const int64_t* index;  // [out, taps]; -1 reads nothing
  const float* weight;   // as index, or null where only the boxes are asked for
  int64_t out, taps;
  KRYPTON_DEVICE int64_t at(int64_t o, int64_t t) const { return index[o * taps + t]; }
};

// The outputs that read each input position, as the hull [first, last). Nothing reads a position where first >= last,
// nor one that lies behind the last entry.
struct Readers {
  std::vector<int64_t> first, last;
  explicit Readers(const ResampleAxis& axis);
};

}  // namespace krypton
