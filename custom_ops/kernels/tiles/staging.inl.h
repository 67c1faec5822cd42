// The kernels of split precision (split.h) prepare X and the masks with these before they multiply. Included beside
// avx512.inl.h, by files compiled for AVX512_BF16 and AVX512_VBMI2.

// `size` entries that start on a cache line; a buffer only grows.
template <class T>
T* Grown(std::vector<T>* buffer, int64_t size) {
  constexpr int64_t kLine = 64 / sizeof(T);
  if (static_cast<int64_t>(buffer->size()) < size + kLine) buffer->resize(static_cast<size_t>(size + kLine));
  const auto address = reinterpret_cast<uintptr_t>(buffer->data());
  return reinterpret_cast<T*>((address + 63) & ~uintptr_t{63});
}

inline void Split(const float* x, int64_t n, uint16_t* hi, uint16_t* lo) {
  for (int64_t i = 0; i < n; i += 16) {
    const __mmask16 mask = n - i >= 16 ? 0xFFFF : static_cast<__mmask16>((1u << (n - i)) - 1);
    const __m512 v = _mm512_maskz_loadu_ps(mask, x + i);
    const __m256i h = reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(v));
    _mm256_mask_storeu_epi16(hi + i, mask, h);
    if (lo == nullptr) continue;
    const __m512 rounded = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
    _mm256_mask_storeu_epi16(lo + i, mask, reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(_mm512_sub_ps(v, rounded))));
  }
}

// One row of A: the entries that the masks choose, one after another, then 32 zeros.
inline void StageRow(const uint16_t* x, const ConvRow& row, const SplitWord* words, const uint64_t* masks,
                     int64_t count, uint16_t* out) {
  for (int64_t i = 0; i < count; ++i) {
    const uint16_t* from = x + row.source + words[i].ky * row.pitch + words[i].x;
    if (masks[i] == 0) continue;
    if (masks[i] == ~uint64_t{0}) {
      _mm512_storeu_si512(out, _mm512_loadu_si512(from));
      _mm512_storeu_si512(out + 32, _mm512_loadu_si512(from + 32));
      out += 64;
      continue;
    }
    const auto low = static_cast<__mmask32>(masks[i]), high = static_cast<__mmask32>(masks[i] >> 32);
    _mm512_storeu_si512(out, _mm512_maskz_compress_epi16(low, _mm512_loadu_si512(from)));
    out += __builtin_popcount(low);
    _mm512_storeu_si512(out, _mm512_maskz_compress_epi16(high, _mm512_loadu_si512(from + 32)));
    out += __builtin_popcount(high);
  }
  _mm512_storeu_si512(out, _mm512_setzero_si512());
}

// The k that the masks choose, then the row of zeros up to a full step; writes up to 16 entries beyond. Returns the
// number of steps.
inline int64_t ListSteps(const SplitWord* words, const uint64_t* masks, int64_t count, int64_t zero_row, int64_t step,
                         int32_t* list) {
  const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  int32_t* next = list;
  for (int64_t i = 0; i < count; ++i) {
    for (int part = 0; part < 64; part += 16) {
      const __mmask16 mask = static_cast<__mmask16>(masks[i] >> part);
      const __m512i found = _mm512_add_epi32(lanes, _mm512_set1_epi32(static_cast<int32_t>(words[i].w + part)));
      _mm512_storeu_si512(next, _mm512_maskz_compress_epi32(mask, found));
      next += __builtin_popcount(mask);
    }
  }
  while ((next - list) % step != 0) *next++ = static_cast<int32_t>(zero_row);
  return (next - list) / step;
}

// The end of a chunk of words from `begin` on: as many as hold at most `longest` k for every group.
inline int64_t ChunkEnd(const SplitBlock& block, int64_t begin, int64_t longest) {
  int64_t end = block.word_count;
  for (int64_t g = 0; g < block.group_count; ++g) {
    int64_t k = 0;
    for (int64_t i = begin; i < end; ++i) {
      k += __builtin_popcountll(block.groups[g].masks[i]);
      if (k > longest) end = i;
    }
  }
  return end;
}
