// The register tile of the delta convolution, for any vector type V.
//
//   acc[r][j] += broadcast(A_r[k]) * B[k][j]      r < MR rows, j < NV vectors, k in the tile's list
//
// Zero patterns of a pixel are nearly the same for neighbouring positions, so a tile whose rows are such neighbours
// needs only the union of their non-zeros (DESIGN section 7): the same k for all rows, full vectors, nothing gathered.
// A rows are read in place, rows of B through the list, from L2 and a few steps ahead.
//
// Each file of kernels/isa includes it inside an anonymous namespace, so that code compiled for one instruction set is
// never merged with another's.

// Loops over `acc` are unrolled before anything else is done to them, or GCC leaves the sums in memory: a tile of
// AVX2 then runs at less than half its speed.

template <class V, bool kBounded, int MR, int NV>
inline void Activate(const ConvBlock& block, const ConvRow* rows, typename V::Type (&acc)[MR][NV]) {
  const typename V::Type lo = V::Set(block.lo), hi = V::Set(block.hi);
#pragma GCC unroll 6
  for (int r = 0; r < MR; ++r) {
    const float* z = block.z + rows[r].pixel * block.z_stride;
#pragma GCC unroll 6
    for (int j = 0; j < NV; ++j) acc[r][j] = ClipRule<V, kBounded>(acc[r][j], V::Load(z + j * V::kLanes), lo, hi);
  }
}

template <class V, int MR, int NV>
void Tile(const ConvBlock& block, const ConvTile& tile, int64_t index) {
  using T = typename V::Type;
  constexpr int kLanes = V::kLanes;
  constexpr int kWidth = NV * kLanes;
  constexpr int kAhead = 8;
  const ConvRow* rows = tile.rows;
  T acc[MR][NV];
#pragma GCC unroll 6
  for (int r = 0; r < MR; ++r) {
    const float* y = block.y + (block.sequential ? index + r : rows[r].target) * block.y_stride;
#pragma GCC unroll 6
    for (int j = 0; j < NV; ++j) acc[r][j] = block.accumulate ? V::Load(y + j * kLanes) : V::Zero();
  }
  const uint16_t* indices = tile.indices;
  for (int64_t s = 0; s < block.segment_count; ++s) {
    const ConvSegment& segment = block.segments[s];
    const float* a[MR];
#pragma GCC unroll 6
    for (int r = 0; r < MR; ++r) {
      a[r] = block.x + rows[r].source + segment.ky * rows[r].pitch + segment.x;
      // A register each; GCC would take one base for all and add up six addresses a step.
      asm("" : "+r"(a[r]));
    }
    const float* w = block.w + segment.w;
    const int64_t count = tile.counts[s];
    for (int64_t i = 0; i < count; ++i) {
      const int64_t k = indices[i];
      const float* ahead = w + indices[i + kAhead] * kWidth;
#pragma GCC unroll 6
      for (int line = 0; line < kWidth; line += 16) V::Prefetch(ahead + line);
      T b[NV];
#pragma GCC unroll 6
      for (int j = 0; j < NV; ++j) b[j] = V::Load(w + k * kWidth + j * kLanes);
#pragma GCC unroll 6
      for (int r = 0; r < MR; ++r) {
        const T x = V::Broadcast(a[r] + k);
#pragma GCC unroll 6
        for (int j = 0; j < NV; ++j) acc[r][j] = V::MultiplyAdd(x, b[j], acc[r][j]);
      }
    }
    if (!block.shared_indices) indices += count;
  }
  if (block.z != nullptr) {
    if (block.hi == std::numeric_limits<float>::infinity()) {
      Activate<V, false>(block, rows, acc);
    } else {
      Activate<V, true>(block, rows, acc);
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < MR; ++r) {
    float* y = block.y + (block.sequential ? index + r : rows[r].target) * block.y_stride;
#pragma GCC unroll 6
    for (int j = 0; j < NV; ++j) V::Store(y + j * kLanes, acc[r][j]);
  }
}

template <class V, int NV, int MR>
void AnyRows(const ConvBlock& block, const ConvTile& tile, int64_t index) {
  if constexpr (MR > 0) {
    if (tile.count == MR) return Tile<V, MR, NV>(block, tile, index);
    AnyRows<V, NV, MR - 1>(block, tile, index);
  }
}

template <class V, int NV>
void AnyColumns(const ConvBlock& block) {
  if constexpr (NV > 0) {
    if (block.width != NV * V::kLanes) return AnyColumns<V, NV - 1>(block);
    int64_t index = 0;
    for (int64_t t = 0; t < block.tile_count; ++t) {
      AnyRows<V, NV, kTileRows>(block, block.tiles[t], index);
      index += block.tiles[t].count;
    }
  }
}

inline int32_t ListBits(const uint64_t* words, int64_t n, uint16_t* indices) {
  uint16_t* next = indices;
  for (int64_t i = 0; i < n; ++i) {
    for (uint64_t word = words[i]; word != 0; word &= word - 1) {
      *next++ = static_cast<uint16_t>(i * 64 + __builtin_ctzll(word));
    }
  }
  return static_cast<int32_t>(next - indices);
}
