#include <immintrin.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/table.h"

namespace krypton {
namespace {

struct Vector {
  using Type = __m256;
  static constexpr int kLanes = 8;
  static Type Zero() { return _mm256_setzero_ps(); }
  static Type Set(float v) { return _mm256_set1_ps(v); }
  static Type Broadcast(const float* p) { return _mm256_broadcast_ss(p); }
  static Type Load(const float* p) { return _mm256_loadu_ps(p); }
  static void Store(float* p, Type v) { _mm256_storeu_ps(p, v); }
  static void Prefetch(const float* p) { __builtin_prefetch(p); }
  static Type Add(Type a, Type b) { return _mm256_add_ps(a, b); }
  static Type Subtract(Type a, Type b) { return _mm256_sub_ps(a, b); }
  static Type Multiply(Type a, Type b) { return _mm256_mul_ps(a, b); }
  static Type MultiplyAdd(Type a, Type b, Type c) { return _mm256_fmadd_ps(a, b, c); }
  static Type Max(Type a, Type b) { return _mm256_max_ps(a, b); }
  static Type Min(Type a, Type b) { return _mm256_min_ps(a, b); }
  // Entries up to `limit`, in absolute value, become 0; NaN stays.
  static Type KeepAbove(Type v, Type limit) {
    const Type size = _mm256_andnot_ps(_mm256_set1_ps(-0.0f), v);
    return _mm256_and_ps(v, _mm256_cmp_ps(size, limit, _CMP_NLE_UQ));
  }
  // Bit i is set where p[i] is not zero.
  static uint64_t Nonzero(const float* p) {
    return static_cast<uint64_t>(_mm256_movemask_ps(_mm256_cmp_ps(Load(p), Zero(), _CMP_NEQ_UQ)));
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

const Kernels* Avx2Kernels() {
  static constexpr Kernels kKernels = VectorTable<Vector, 2>("avx2", ListBits);
  return &kKernels;
}

}  // namespace krypton
