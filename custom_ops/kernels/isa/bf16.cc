// Plain bfloat16 convolution on AVX512_BF16, whose dot products do twice the work of a float32 multiply-add:
//
//   acc[r][j] += (A_r[k], A_r[k']) . (B[k][j], B[k'][j])      k, k' neighbours in the group's list
//
// A group's rows are staged as dense bfloat16 rows (compressed by its masks), so that neighbours of the list lie side
// by side and one 32-bit broadcast loads both. Rows of W stay where they are, in L2: two are interleaved in registers.
//
//   for chunk of the words: stage A of all groups
//     for 64 columns: for group: for 6 rows: for pair of k: 24 dot products
#include <immintrin.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/split.h"

namespace krypton {
namespace {

#include "kernels/tiles/avx512.inl.h"
#include "kernels/tiles/rows.inl.h"
#include "kernels/tiles/staging.inl.h"

constexpr int kRows = 6, kVectors = 4;      // of a register tile
constexpr int64_t kChunk = 1024;            // k of a staged row
constexpr int64_t kStride = kChunk + 64;    // slack, and no power of two
constexpr int64_t kList = kChunk + 2 + 16;  // an odd list is filled up, and read ahead

struct Scratch {
  std::vector<uint16_t> staged;
  std::vector<int32_t> list;
  std::vector<int64_t> pairs;
};

// The rows and columns of one tile, and its list.
struct TileArguments {
  const ConvRow* rows;
  const uint16_t* a;  // [row, kStride]
  const int32_t* list;
  int64_t pairs;
  int64_t column;    // a multiple of kSplitColumns
  bool first, last;  // of the chunks: sums start at zero, sums are complete
};

inline __m512bh BroadcastPair(const uint16_t* p) {
  int32_t pair;
  std::memcpy(&pair, p, sizeof(pair));
  return reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
}

// 32 columns of two rows of W, interleaved. The unpacking of x86 takes them from each quarter of a register, which the
// order of the columns in memory undoes (kOrder).
inline void Interleave(const uint16_t* w, const uint16_t* next, __m512bh* left, __m512bh* right) {
  const __m512i a = _mm512_loadu_si512(w), b = _mm512_loadu_si512(next);
  *left = reinterpret_cast<__m512bh>(_mm512_unpacklo_epi16(a, b));
  *right = reinterpret_cast<__m512bh>(_mm512_unpackhi_epi16(a, b));
}

constexpr uint8_t kOrder[kSplitColumns] = {0, 1, 2,  3,  16, 17, 18, 19, 4,  5,  6,  7,  20, 21, 22, 23,
                                           8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31};

template <bool kBounded, int MR, int NV>
inline void Activate(const SplitBlock& block, const TileArguments& tile, const __mmask16 (&masks)[NV],
                     __m512 (&acc)[MR][NV]) {
  const __m512 lo = _mm512_set1_ps(block.lo), hi = _mm512_set1_ps(block.hi);
#pragma GCC unroll 6
  for (int r = 0; r < MR; ++r) {
    const float* z = block.z + tile.rows[r].pixel * block.z_stride + tile.column;
#pragma GCC unroll 6
    for (int j = 0; j < NV; ++j) {
      acc[r][j] = ClipRule<Vector, kBounded>(acc[r][j], _mm512_maskz_loadu_ps(masks[j], z + j * 16), lo, hi);
    }
  }
}

// As in conv_tile.inl.h, loops over `acc` are unrolled first of all, or it lives in memory.
template <int MR, int NV>
void Tile(const SplitBlock& block, const TileArguments& tile) {
  constexpr int64_t kAhead = 8;
  __mmask16 masks[NV];
#pragma GCC unroll 6
  for (int j = 0; j < NV; ++j) {
    const int64_t left = block.columns - tile.column - j * 16;
    masks[j] = left >= 16 ? 0xFFFF : static_cast<__mmask16>((1u << std::max<int64_t>(left, 0)) - 1);
  }
  __m512 acc[MR][NV];
#pragma GCC unroll 6
  for (int r = 0; r < MR; ++r) {
    const float* y = block.y + tile.rows[r].target * block.y_stride + tile.column;
#pragma GCC unroll 6
    for (int j = 0; j < NV; ++j) {
      acc[r][j] = tile.first ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(masks[j], y + j * 16);
    }
  }
  const uint16_t *a = tile.a, *w[NV / 2];
#pragma GCC unroll 6
  for (int j = 0; j < NV / 2; ++j) w[j] = block.w + (tile.column + j * kSplitColumns) * (block.depth + 1);
  for (int64_t i = 0; i < 2 * tile.pairs; i += 2) {
    const int64_t k = tile.list[i] * kSplitColumns, next = tile.list[i + 1] * kSplitColumns;
    __m512bh b[NV];
#pragma GCC unroll 6
    for (int j = 0; j < NV / 2; ++j) {
      __builtin_prefetch(w[j] + tile.list[i + kAhead] * kSplitColumns);
      __builtin_prefetch(w[j] + tile.list[i + kAhead + 1] * kSplitColumns);
      Interleave(w[j] + k, w[j] + next, &b[2 * j], &b[2 * j + 1]);
    }
#pragma GCC unroll 6
    for (int r = 0; r < MR; ++r) {
      const __m512bh x = BroadcastPair(a + r * kStride + i);
#pragma GCC unroll 6
      for (int j = 0; j < NV; ++j) acc[r][j] = _mm512_dpbf16_ps(acc[r][j], x, b[j]);
    }
  }
  if (tile.last && block.z != nullptr) {
    if (block.hi == std::numeric_limits<float>::infinity()) {
      Activate<false>(block, tile, masks, acc);
    } else {
      Activate<true>(block, tile, masks, acc);
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < MR; ++r) {
    float* y = block.y + tile.rows[r].target * block.y_stride + tile.column;
#pragma GCC unroll 6
    for (int j = 0; j < NV; ++j) _mm512_mask_storeu_ps(y + j * 16, masks[j], acc[r][j]);
  }
}

template <int MR>
void AnyRows(const SplitBlock& block, const TileArguments& tile, int64_t count) {
  if constexpr (MR > 0) {
    if (count != MR) return AnyRows<MR - 1>(block, tile, count);
    if (block.columns - tile.column > kSplitColumns) return Tile<MR, kVectors>(block, tile);
    Tile<MR, 2>(block, tile);
  }
}

void ConvBlockBf16(const SplitBlock& block) {
  static thread_local Scratch scratch;
  int64_t rows = 0;
  for (int64_t g = 0; g < block.group_count; ++g) rows += block.groups[g].count;
  uint16_t* const staged = Grown(&scratch.staged, rows * kStride);
  int32_t* const lists = Grown(&scratch.list, block.group_count * kList);
  scratch.pairs.resize(static_cast<size_t>(block.group_count));
  for (int64_t begin = 0, end = 0; begin == 0 || begin < block.word_count; begin = end) {
    end = ChunkEnd(block, begin, kChunk);
    const SplitWord* words = block.words + begin;
    TileArguments tile{};
    tile.first = begin == 0, tile.last = end == block.word_count;
    int64_t row = 0;
    for (int64_t g = 0; g < block.group_count; ++g) {
      const uint64_t* masks = block.groups[g].masks + begin;
      scratch.pairs[g] = ListSteps(words, masks, end - begin, block.depth, 2, lists + g * kList);
      for (const int64_t after = row + block.groups[g].count; row < after; ++row) {
        StageRow(block.x_hi, block.rows[row], words, masks, end - begin, staged + row * kStride);
      }
    }
    for (tile.column = 0; tile.column < block.columns; tile.column += kVectors * 16) {
      row = 0;
      for (int64_t g = 0; g < block.group_count; ++g) {
        tile.list = lists + g * kList, tile.pairs = scratch.pairs[g];
        for (int64_t left = block.groups[g].count; left > 0;) {
          const int64_t count = std::min<int64_t>(kRows, left);
          tile.rows = block.rows + row, tile.a = staged + row * kStride;
          AnyRows<kRows>(block, tile, count);
          row += count, left -= count;
        }
      }
    }
    if (tile.last) break;
  }
}

}  // namespace

const SplitKernels* Bf16SplitKernels() {
  static constexpr SplitCosts kCosts = {25, 0, 50, 0.3, 0.2, 0, 1.2};
  static constexpr SplitKernels kKernels = {Split, ConvBlockBf16, kOrder, kRows, 0, 1, 0.95, kCosts};
  return &kKernels;
}

}  // namespace krypton
