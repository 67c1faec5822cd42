// 16 floats, the vector type of the kernels' templates. Every file of kernels/isa that has AVX-512 includes it inside
// an anonymous namespace (conv_tile.inl.h says why).

struct Vector {
  using Type = __m512;
  static constexpr int kLanes = 16;
  static Type Zero() { return _mm512_setzero_ps(); }
  static Type Set(float v) { return _mm512_set1_ps(v); }
  static Type Broadcast(const float* p) { return _mm512_set1_ps(*p); }
  static Type Load(const float* p) { return _mm512_loadu_ps(p); }
  static void Store(float* p, Type v) { _mm512_storeu_ps(p, v); }
  static void Prefetch(const float* p) { __builtin_prefetch(p); }
  static Type Add(Type a, Type b) { return _mm512_add_ps(a, b); }
  static Type Subtract(Type a, Type b) { return _mm512_sub_ps(a, b); }
  static Type Multiply(Type a, Type b) { return _mm512_mul_ps(a, b); }
  static Type MultiplyAdd(Type a, Type b, Type c) { return _mm512_fmadd_ps(a, b, c); }
  static Type Max(Type a, Type b) { return _mm512_max_ps(a, b); }
  static Type Min(Type a, Type b) { return _mm512_min_ps(a, b); }
  // Entries up to `limit`, in absolute value, become 0; NaN stays.
  static Type KeepAbove(Type v, Type limit) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(_mm512_abs_ps(v), limit, _CMP_NLE_UQ), v);
  }
  // Bit i is set where p[i] is not zero.
  static uint64_t Nonzero(const float* p) {
    return _mm512_cmp_ps_mask(_mm512_loadu_ps(p), _mm512_setzero_ps(), _CMP_NEQ_UQ);
  }
};
