#include <immintrin.h>

#include "kernels/kernels.h"

namespace krypton {
namespace {

struct Vector {
  using Type = __m512;
  static constexpr int kLanes = 16;
  static Type Zero() { return _mm512_setzero_ps(); }
  static Type Set(float v) { return _mm512_set1_ps(v); }
  static Type Broadcast(const float* p) { return _mm512_set1_ps(*p); }
  static Type Load(const float* p) { return _mm512_loadu_ps(p); }
  static void Store(float* p, Type v) { _mm512_storeu_ps(p, v); }
  static Type Add(Type a, Type b) { return _mm512_add_ps(a, b); }
  static Type Subtract(Type a, Type b) { return _mm512_sub_ps(a, b); }
  static Type MultiplyAdd(Type a, Type b, Type c) { return _mm512_fmadd_ps(a, b, c); }
  static Type Max(Type a, Type b) { return _mm512_max_ps(a, b); }
  static Type Min(Type a, Type b) { return _mm512_min_ps(a, b); }
};

#include "kernels/rows.inl.h"
// The tile uses the clip rule of the rows.
#include "kernels/conv_tile.inl.h"

}  // namespace

const Kernels* Avx512Kernels() {
  static constexpr Kernels kKernels = {"avx512",       ConvBlockLoop<Vector, 8>, ClipRow<Vector>,
                                       MaxRow<Vector>, MultiplyAddRow<Vector>,   AddScaledRow<Vector>,
                                       AnyNonzero};
  return &kKernels;
}

}  // namespace krypton
