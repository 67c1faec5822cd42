// The p-norm of a window, which is summed in double: what it is of may cancel to little.
#pragma once

#include <cmath>
#include <cstdint>

#include "math/device.h"
#include "math/product.h"

namespace krypton {

struct Norm {
  int64_t p;

  KRYPTON_DEVICE double Power(double x) const {
    if (p == 1) return std::fabs(x);
    return p == 2 ? Product(x, x) : std::pow(std::fabs(x), static_cast<double>(p));
  }
  KRYPTON_DEVICE double Root(double sum) const {
    if (p == 1) return sum;
    return p == 2 ? std::sqrt(sum) : std::pow(sum, 1.0 / static_cast<double>(p));
  }
};

}  // namespace krypton
