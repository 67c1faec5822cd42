#include "geometry/resample_axis.h"

#include <algorithm>

namespace krypton {

Readers::Readers(const ResampleAxis& axis) {
  int64_t size = 0;
  for (int64_t i = 0; i < axis.out * axis.taps; ++i) size = std::max(size, axis.index[i] + 1);
  first.assign(static_cast<size_t>(size), axis.out);
  last.assign(static_cast<size_t>(size), 0);
  for (int64_t o = 0; o < axis.out; ++o) {
    for (int64_t t = 0; t < axis.taps; ++t) {
      const int64_t i = axis.at(o, t);
      if (i < 0) continue;
      first[i] = std::min(first[i], o);
      last[i] = std::max(last[i], o + 1);
    }
  }
}

}  // namespace krypton
