#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/table.h"

namespace krypton {
namespace {

// Four floats in the compiler's own vector type: SSE2 on x86-64, NEON on arm64.
struct Vector {
  typedef float Type __attribute__((vector_size(16)));
  typedef float Loose __attribute__((vector_size(16), aligned(4)));
  static constexpr int kLanes = 4;
  static Type Zero() { return Type{}; }
  static Type Set(float v) { return Type{v, v, v, v}; }
  static Type Broadcast(const float* p) { return Set(*p); }
  static Type Load(const float* p) { return *reinterpret_cast<const Loose*>(p); }
  static void Store(float* p, Type v) { *reinterpret_cast<Loose*>(p) = v; }
  static void Prefetch(const float* p) { __builtin_prefetch(p); }
  static Type Add(Type a, Type b) { return a + b; }
  static Type Subtract(Type a, Type b) { return a - b; }
  static Type Multiply(Type a, Type b) { return a * b; }
  static Type MultiplyAdd(Type a, Type b, Type c) { return a * b + c; }
  static Type Max(Type a, Type b) { return a > b ? a : b; }
  static Type Min(Type a, Type b) { return a < b ? a : b; }
  // Entries up to `limit`, in absolute value, become 0; NaN stays.
  static Type KeepAbove(Type v, Type limit) { return v <= limit && v >= -limit ? Type{} : v; }
  // Bit i is set where p[i] is not zero.
  static uint64_t Nonzero(const float* p) {
    return uint64_t{!(p[0] == 0.0f)} | uint64_t{!(p[1] == 0.0f)} << 1 | uint64_t{!(p[2] == 0.0f)} << 2 |
           uint64_t{!(p[3] == 0.0f)} << 3;
  }
};

#include "kernels/tiles/rows.inl.h"
// The functions and the tiles use the clip rule of the rows, the table all of them.
#include "math/functions.inl.h"
// clang-format sorts no include past this line.
#include "kernels/tiles/conv_tile.inl.h"
#include "kernels/tiles/depthwise.inl.h"
#include "kernels/tiles/table.inl.h"

}  // namespace

const Kernels* PortableKernels() {
  static constexpr Kernels kKernels = VectorTable<Vector, 2>("portable", ListBits);
  return &kKernels;
}

}  // namespace krypton
