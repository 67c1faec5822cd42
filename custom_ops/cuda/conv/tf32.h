// TF32, the numbers that tensor cores multiply: float32's exponent, 10 bits behind the point; and how the lanes of a
// warp hold the operands of mma.m16n8k8 (PTX).
#pragma once

#include <cstdint>
#include <cstring>

#include "math/device.h"

namespace krypton::cuda {

// The nearest TF32 number: 10 bits behind the point, halves away from zero (cvt.rna).
KRYPTON_DEVICE inline uint32_t RoundTf32(float x) {
#if defined(__CUDA_ARCH__)
  uint32_t bits;
  asm("cvt.rna.tf32.f32 %0, %1;\n" : "=r"(bits) : "f"(x));
  return bits;
#else
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return (bits & 0x7f800000u) == 0x7f800000u ? bits : (bits + 0x1000u) & ~0x1fffu;
#endif
}

KRYPTON_DEVICE inline float FromBits(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

// A TF32 number and what it leaves. Tensor cores read a register's upper 19 bits and no others: the rest need not be
// cleared.
struct Pieces {
  uint32_t hi, lo;
};

// The rounding of cvt.rna by an addition, a third of its instructions; the rest is left for the tensor cores to cut
// off. A NaN is taken for a number, but the rest is NaN then too; of one product alone the rest is not there.
template <bool kSingle>
KRYPTON_DEVICE inline Pieces Split(float x) {
  if constexpr (kSingle) return {RoundTf32(x), 0};
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  const uint32_t hi = bits + 0x1000u;
  const float rest = x - FromBits(hi & ~0x1fffu);
  uint32_t lo;
  std::memcpy(&lo, &rest, sizeof lo);
  return {hi, lo};
}

// A lane's part of mma.m16n8k8's operands: row g = lane / 4, column t = lane % 4 of A [16, 8]; B [8, 8]; C [16,
// 8].
struct FragmentA {
  Pieces v[4];  // (g, t) (g + 8, t) (g, t + 4) (g + 8, t + 4)
};
struct FragmentB {
  Pieces v[2];  // (t, g) (t + 4, g)
};
struct FragmentC {
  float v[4];  // (g, 2t) (g, 2t + 1) (g + 8, 2t) (g + 8, 2t + 1)
};

}  // namespace krypton::cuda
