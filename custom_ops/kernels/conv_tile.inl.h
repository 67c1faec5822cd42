// The register tile of the delta convolution, for any vector type V.
//
//   acc[r][j] += broadcast(A_r[k]) * B[k][j]      r < MR rows, j < NV vectors of V::kLanes columns
//
// A rows are read in place through their offsets (an indirect GEMM: nothing is gathered); B is a
// stretch of packed panels that stays in L1 while all rows of one tap set pass over it, so the
// reduction is cut into stretches of about kStretch and Y holds the partial sums between them.
//
// Included by one kernels_<isa>.cc each, inside an anonymous namespace, so that code compiled
// for one instruction set is never merged with another's.

constexpr int64_t kStretch = 256;

struct Stretch {
  int64_t ky0, ky1, kx0, kx1, c0, c1;
  bool first, last;
};

template <class V, int MR, int NV>
void Tile(const ConvBlock& block, const ConvRow* rows, int64_t index, const Stretch& s) {
  using T = typename V::Type;
  constexpr int kLanes = V::kLanes;
  constexpr int kPerPanel = kPanel / kLanes;
  float* y[MR];
  T acc[MR][NV];
  for (int r = 0; r < MR; ++r) {
    y[r] = block.y + (block.sequential ? index + r : rows[r].target) * block.y_stride;
    for (int j = 0; j < NV; ++j) acc[r][j] = s.first ? V::Zero() : V::Load(y[r] + j * kLanes);
  }
  for (int64_t ky = s.ky0; ky < s.ky1; ++ky) {
    for (int64_t kx = s.kx0; kx < s.kx1; ++kx) {
      const float* a[MR];
      for (int r = 0; r < MR; ++r) a[r] = block.x + rows[r].source + ky * rows[r].pitch + kx * block.x_kx;
      const float* w = block.w + ky * block.w_ky + kx * block.w_kx;
      for (int64_t c = s.c0; c < s.c1; ++c) {
        T b[NV];
        for (int j = 0; j < NV; ++j) {
          b[j] = V::Load(w + c * kPanel + (j / kPerPanel) * block.w_panel + (j % kPerPanel) * kLanes);
        }
        for (int r = 0; r < MR; ++r) {
          const T x = V::Broadcast(a[r] + c);
          for (int j = 0; j < NV; ++j) acc[r][j] = V::MultiplyAdd(x, b[j], acc[r][j]);
        }
      }
    }
  }
  if (s.last && block.z != nullptr) {
    const T lo = V::Set(block.lo), hi = V::Set(block.hi);
    for (int r = 0; r < MR; ++r) {
      const float* z = block.z + rows[r].pixel * block.z_stride;
      for (int j = 0; j < NV; ++j) acc[r][j] = ClipRule<V>(acc[r][j], V::Load(z + j * kLanes), lo, hi);
    }
  }
  for (int r = 0; r < MR; ++r) {
    for (int j = 0; j < NV; ++j) V::Store(y[r] + j * kLanes, acc[r][j]);
  }
}

template <class V, int NV, int MR>
void Remainder(const ConvBlock& block, const ConvRow* rows, int64_t index, int64_t count, const Stretch& s) {
  if constexpr (MR > 0) {
    if (count == MR) return Tile<V, MR, NV>(block, rows, index, s);
    Remainder<V, NV, MR - 1>(block, rows, index, count, s);
  }
}

template <class V, int MR, int NV>
void AllRows(const ConvBlock& block, const Stretch& s) {
  int64_t i = 0;
  for (; i + MR <= block.count; i += MR) Tile<V, MR, NV>(block, block.rows + i, i, s);
  Remainder<V, NV, MR - 1>(block, block.rows + i, i, block.count - i, s);
}

template <class V, int MR>
void ConvBlockLoop(const ConvBlock& block) {
  constexpr int kVectors = kPanel / V::kLanes;
  const int64_t per_ky = block.taps_x * block.depth;
  // Whole tap rows while they are short, then single taps, then pieces of one tap's depth.
  const int64_t step_y = per_ky >= kStretch ? 1 : kStretch / per_ky;
  const int64_t step_x = per_ky <= kStretch ? block.taps_x : (block.depth >= kStretch ? 1 : kStretch / block.depth);
  const int64_t pieces = (block.depth + kStretch - 1) / kStretch;
  const int64_t step_c = (block.depth + pieces - 1) / pieces;
  for (int64_t ky = 0; ky < block.taps_y; ky += step_y) {
    for (int64_t kx = 0; kx < block.taps_x; kx += step_x) {
      for (int64_t c = 0; c < block.depth; c += step_c) {
        Stretch s;
        s.ky0 = ky, s.ky1 = ky + step_y < block.taps_y ? ky + step_y : block.taps_y;
        s.kx0 = kx, s.kx1 = kx + step_x < block.taps_x ? kx + step_x : block.taps_x;
        s.c0 = c, s.c1 = c + step_c < block.depth ? c + step_c : block.depth;
        s.first = !block.accumulate && ky == 0 && kx == 0 && c == 0;
        s.last = s.ky1 == block.taps_y && s.kx1 == block.taps_x && s.c1 == block.depth;
        if (block.panels == 1) {
          AllRows<V, MR, kVectors>(block, s);
        } else {
          AllRows<V, MR, 2 * kVectors>(block, s);
        }
      }
    }
  }
}
