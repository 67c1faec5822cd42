// Row kernels for any vector type V; included beside conv_tile.inl.h, see there.
#include "math/clip_rule.inl.h"

// Without kBounded `hi` is infinite, as of a Relu, and half the work is saved.
template <class V, bool kBounded = true>
inline typename V::Type ClipRule(typename V::Type d, typename V::Type z, typename V::Type lo, typename V::Type hi) {
  // Max and Min give their second operand where either is NaN, so the data stands second.
  typename V::Type c = V::Max(lo, z);
  if constexpr (kBounded) c = V::Min(hi, c);
  const typename V::Type raised = V::Max(V::Subtract(lo, c), V::Add(d, V::Subtract(z, c)));
  if constexpr (!kBounded) return raised;
  return V::Min(V::Subtract(hi, c), raised);
}

template <class V>
void ClipRow(float* y, const float* d, const float* z, int64_t n, float lo, float hi) {
  const typename V::Type vlo = V::Set(lo), vhi = V::Set(hi);
  int64_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) V::Store(y + i, ClipRule<V>(V::Load(d + i), V::Load(z + i), vlo, vhi));
  for (; i < n; ++i) y[i] = ClipRuleScalar(d[i], z[i], lo, hi);
}

template <class V>
void MaxRow(float* y, const float* x0, const float* y0, const float* d, int64_t n) {
  int64_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) {
    typename V::Type v = V::Subtract(V::Load(x0 + i), V::Load(y0 + i));
    if (d != nullptr) v = V::Add(v, V::Load(d + i));
    V::Store(y + i, V::Max(V::Load(y + i), v));
  }
  for (; i < n; ++i) {
    const float v = d == nullptr ? x0[i] - y0[i] : (x0[i] - y0[i]) + d[i];
    y[i] = y[i] > v ? y[i] : v;
  }
}

template <class V, bool kScaled, bool kClipped, bool kBounded>
void GatherPixels(const GatherRun& run) {
  const typename V::Type lo = V::Set(run.lo), hi = V::Set(run.hi);
  const float *x = run.x, *z = run.z, *scale = run.scale;
  const int64_t n = run.channels;
  for (int64_t pixel = 0; pixel < run.count; ++pixel, x += n) {
    float* y = run.y + run.rows[pixel];
    int64_t i = 0;
    for (; i + V::kLanes <= n; i += V::kLanes) {
      typename V::Type d = V::Load(x + i);
      if constexpr (kScaled) d = V::Multiply(d, V::Load(scale + i));
      if constexpr (kClipped) d = ClipRule<V, kBounded>(d, V::Load(z + i), lo, hi);
      V::Store(y + i, d);
    }
    for (; i < n; ++i) {
      const float d = kScaled ? x[i] * scale[i] : x[i];
      y[i] = kClipped ? ClipRuleScalar(d, z[i], run.lo, run.hi) : d;
    }
    if constexpr (kClipped) z += run.z_stride;
  }
}

template <class V, bool kScaled>
void GatherClipped(const GatherRun& run) {
  if (run.z == nullptr) return GatherPixels<V, kScaled, false, false>(run);
  if (run.hi == std::numeric_limits<float>::infinity()) return GatherPixels<V, kScaled, true, false>(run);
  GatherPixels<V, kScaled, true, true>(run);
}

template <class V>
void Gather(const GatherRun& run) {
  if (run.x == nullptr) {
    for (int64_t pixel = 0; pixel < run.count; ++pixel) {
      std::memset(run.y + run.rows[pixel], 0, static_cast<size_t>(run.channels) * sizeof(float));
    }
  } else if (run.scale == nullptr) {
    GatherClipped<V, false>(run);
  } else {
    GatherClipped<V, true>(run);
  }
}

template <class V>
void MultiplyRow(float* y, const float* x, const float* scale, int64_t n) {
  int64_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) V::Store(y + i, V::Multiply(V::Load(x + i), V::Load(scale + i)));
  for (; i < n; ++i) y[i] = x[i] * scale[i];
}

template <class V>
void AddScaledRow(float* y, const float* x, float scale, int64_t n) {
  const typename V::Type vs = V::Set(scale);
  int64_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) {
    V::Store(y + i, V::MultiplyAdd(vs, V::Load(x + i), V::Load(y + i)));
  }
  for (; i < n; ++i) y[i] += scale * x[i];
}

template <class V>
void FlushRow(float* y, int64_t n, float limit) {
  const typename V::Type bound = V::Set(limit);
  int64_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) V::Store(y + i, V::KeepAbove(V::Load(y + i), bound));
  for (; i < n; ++i) y[i] = y[i] <= limit && y[i] >= -limit ? 0.0f : y[i];
}

// `!(x == 0)` and not `x != 0` in spirit: a NaN must never be dropped.
inline bool AnyNonzero(const float* x, int64_t n) {
  constexpr int64_t kBlock = 64;  // vectorises, and still stops early
  int64_t i = 0;
  for (; i + kBlock <= n; i += kBlock) {
    int any = 0;
    for (int64_t k = 0; k < kBlock; ++k) any |= !(x[i + k] == 0.0f);
    if (any) return true;
  }
  for (; i < n; ++i) {
    if (!(x[i] == 0.0f)) return true;
  }
  return false;
}

template <class V>
void NonzeroBits(const float* x, int64_t n, uint64_t* bits) {
  int64_t i = 0;
  for (; i + 64 <= n; i += 64) {
    uint64_t word = 0;
    for (int k = 0; k < 64; k += V::kLanes) word |= V::Nonzero(x + i + k) << k;
    bits[i / 64] = word;
  }
  if (i == n) return;
  uint64_t word = 0;
  for (int64_t k = i; k < n; ++k) word |= uint64_t{!(x[k] == 0.0f)} << (k - i);
  bits[i / 64] = word;
}
