// Depthwise strips for any vector type V; included beside rows.inl.h, whose clip rule they use.
//
// Up to kTileRows outputs x 2 vectors of channels stay in registers over all taps, so that an entry of W is loaded once
// for all of them and Y is written once.

template <class V, int kRows, int kVectors>
inline void DepthwiseTile(const DepthwiseStrip& s, int64_t first, int64_t channel) {
  using Type = typename V::Type;
  Type sums[kRows][kVectors];
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) sums[r][v] = V::Zero();
  }
  const float* x = s.x + first * s.x_step + channel;
  for (int64_t t = 0; t < s.tap_count; ++t) {
    const float *from = x + s.taps[t].x, *w = s.taps[t].w + channel;
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) {
        const Type entry = V::Load(from + r * s.x_step + v * V::kLanes);
        sums[r][v] = V::MultiplyAdd(entry, V::Load(w + v * V::kLanes), sums[r][v]);
      }
    }
  }
  const Type lo = V::Set(s.lo), hi = V::Set(s.hi);
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      const int64_t at = (first + r) * s.channels + channel + v * V::kLanes;
      V::Store(s.y + at, s.z == nullptr ? sums[r][v] : ClipRule<V>(sums[r][v], V::Load(s.z + at), lo, hi));
    }
  }
}

template <class V, int kRows>
void DepthwiseRows(const DepthwiseStrip& s, int64_t first) {
  int64_t c = 0;
  for (; c + 2 * V::kLanes <= s.channels; c += 2 * V::kLanes) DepthwiseTile<V, kRows, 2>(s, first, c);
  for (; c + V::kLanes <= s.channels; c += V::kLanes) DepthwiseTile<V, kRows, 1>(s, first, c);
  for (; c < s.channels; ++c) {
    for (int64_t r = first; r < first + kRows; ++r) {
      float sum = 0.0f;
      for (int64_t t = 0; t < s.tap_count; ++t) sum += s.x[r * s.x_step + s.taps[t].x + c] * s.taps[t].w[c];
      const int64_t at = r * s.channels + c;
      s.y[at] = s.z == nullptr ? sum : ClipRuleScalar(sum, s.z[at], s.lo, s.hi);
    }
  }
}

template <class V>
void Depthwise(const DepthwiseStrip& s) {
  int64_t first = 0;
  for (; first + kTileRows <= s.count; first += kTileRows) DepthwiseRows<V, kTileRows>(s, first);
  switch (s.count - first) {
    case 1:
      return DepthwiseRows<V, 1>(s, first);
    case 2:
      return DepthwiseRows<V, 2>(s, first);
    case 3:
      return DepthwiseRows<V, 3>(s, first);
    case 4:
      return DepthwiseRows<V, 4>(s, first);
    case 5:
      return DepthwiseRows<V, 5>(s, first);
    default:
      return;
  }
}
