// Products that nvcc leaves alone: it fuses a * b - c * d, and then two equal products do not leave 0.
#pragma once

#include "math/device.h"

namespace krypton {

KRYPTON_DEVICE inline double Product(double a, double b) {
#if defined(__CUDA_ARCH__)
  return __dmul_rn(a, b);
#else
  return a * b;
#endif
}

}  // namespace krypton
