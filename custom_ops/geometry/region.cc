#include "geometry/region.h"

namespace krypton {

bool Region::empty() const {
  for (size_t axis = 0; axis < axes; ++axis) {
    if (size(axis) <= 0) return true;
  }
  return false;
}

bool Region::LiesInside(const std::vector<int64_t>& image) const {
  for (size_t axis = 0; axis < axes; ++axis) {
    if (start(axis) < 0 || size(axis) < 0 || start(axis) + size(axis) > image[axis]) return false;
  }
  return true;
}

}  // namespace krypton
