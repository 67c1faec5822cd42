#include <immintrin.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/table.h"

namespace krypton {
namespace {

#include "kernels/tiles/avx512.inl.h"
#include "kernels/tiles/rows.inl.h"
// The functions and the tiles use the clip rule of the rows, the table all of them.
#include "math/functions.inl.h"
// clang-format sorts no include past this line.
#include "kernels/tiles/conv_tile.inl.h"
#include "kernels/tiles/depthwise.inl.h"
#include "kernels/tiles/table.inl.h"

int32_t ListBits512(const uint64_t* words, int64_t n, uint16_t* indices) {
  const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  uint16_t* next = indices;
  for (int64_t i = 0; i < n; ++i) {
    for (int part = 0; part < 64; part += 16) {
      const __mmask16 mask = static_cast<__mmask16>(words[i] >> part);
      const __m512i found = _mm512_add_epi32(lanes, _mm512_set1_epi32(static_cast<int>(i * 64 + part)));
      const __m256i packed = _mm512_cvtepi32_epi16(_mm512_maskz_compress_epi32(mask, found));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(next), packed);
      next += __builtin_popcount(mask);
    }
  }
  return static_cast<int32_t>(next - indices);
}

}  // namespace

const Kernels* Avx512Kernels() {
  static constexpr Kernels kKernels = VectorTable<Vector, 4>("avx512", ListBits512);
  return &kKernels;
}

}  // namespace krypton
