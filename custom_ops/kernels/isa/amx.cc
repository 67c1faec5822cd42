// Split-precision convolution on AMX tiles: 16 x 16 sums of 32 products an instruction.
//
// A group's rows are staged as dense bfloat16 rows (compressed by its masks); its rows of W are gathered in pairs, as
// the tiles want them. Both panels stay in L2; 32 rows x 32 columns of sums in four tiles:
//
//   for chunk of the words: stage A of all groups
//     for 32 columns: for group: gather B [chunk, 32]; for 32 rows: 12 products a step
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/isa/amx_configuration.h"
#include "kernels/split.h"

namespace krypton {
namespace {

#include "kernels/tiles/avx512.inl.h"
#include "kernels/tiles/rows.inl.h"
#include "kernels/tiles/staging.inl.h"

constexpr int64_t kStep = 32;                      // k of one tile product
constexpr int64_t kTile = 16;                      // rows and columns of a tile
constexpr int64_t kPair = 2 * kTile;               // rows of a register block
constexpr int64_t kChunk = 1024;                   // k of a panel
constexpr int64_t kStride = kChunk + 2 * kStep;    // of a staged row: slack, and no power of two
constexpr int64_t kStepTiles = 4 * kTile * kStep;  // hi, hi, lo, lo of 32 columns

struct Scratch {
  std::vector<uint16_t> hi, lo, weights;
  std::vector<float> sums;
  std::vector<int32_t> list;
  std::vector<int64_t> steps;
};

void Configure() { _tile_loadconfig(&kTileConfiguration); }

// Two rows of W side by side in pairs: columns 0..15 to `left`, 16..31 to `right`.
inline void Interleave(const uint16_t* a, const uint16_t* b, uint16_t* left, uint16_t* right) {
  alignas(64) static constexpr auto kOrder = [] {
    struct {
      uint16_t at[2][32];
    } order{};
    for (int n = 0; n < 16; ++n) {
      order.at[0][2 * n] = static_cast<uint16_t>(n), order.at[0][2 * n + 1] = static_cast<uint16_t>(32 + n);
      order.at[1][2 * n] = static_cast<uint16_t>(16 + n), order.at[1][2 * n + 1] = static_cast<uint16_t>(48 + n);
    }
    return order;
  }();
  const __m512i va = _mm512_loadu_si512(a), vb = _mm512_loadu_si512(b);
  _mm512_store_si512(left, _mm512_permutex2var_epi16(va, _mm512_load_si512(kOrder.at[0]), vb));
  _mm512_store_si512(right, _mm512_permutex2var_epi16(va, _mm512_load_si512(kOrder.at[1]), vb));
}

// One step of B: tiles hi left, hi right, lo left, lo right.
template <bool kLow>
void GatherStep(const uint16_t* w, const int32_t* list, uint16_t* out) {
  constexpr int64_t kRow = (kLow ? 2 : 1) * kSplitColumns;
  for (int64_t k = 0; k < kStep; k += 2) {
    const uint16_t *a = w + list[k] * kRow, *b = w + list[k + 1] * kRow;
    uint16_t* to = out + k / 2 * kStep;
    Interleave(a, b, to, to + kTile * kStep);
    if (kLow) Interleave(a + kSplitColumns, b + kSplitColumns, to + 2 * kTile * kStep, to + 3 * kTile * kStep);
  }
}

// One step of 32 rows x 32 columns. Loads stand between the products that hide them.
template <bool kLow>
void MultiplyTwo(const uint16_t* hi, const uint16_t* lo, const uint16_t* b) {
  constexpr int64_t kBytes = kStride * sizeof(uint16_t), kNext = kTile * kStride, kTileSize = kTile * kStep;
  if constexpr (kLow) {
    _tile_loadd(4, hi, kBytes);
    _tile_loadd(6, b + 2 * kTileSize, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, b + 3 * kTileSize, 64);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, hi + kNext, kBytes);
    _tile_dpbf16ps(2, 5, 6);
    _tile_loadd(6, b, 64);
    _tile_dpbf16ps(3, 5, 7);
    _tile_loadd(7, b + kTileSize, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(4, lo, kBytes);
    _tile_dpbf16ps(3, 5, 7);
    _tile_loadd(5, lo + kNext, kBytes);
  } else {
    _tile_loadd(4, hi, kBytes);
    _tile_loadd(6, b, 64);
    _tile_loadd(5, hi + kNext, kBytes);
    _tile_loadd(7, b + kTileSize, 64);
  }
  _tile_dpbf16ps(0, 4, 6);
  _tile_dpbf16ps(1, 4, 7);
  _tile_dpbf16ps(2, 5, 6);
  _tile_dpbf16ps(3, 5, 7);
}

// The same for 16 rows.
template <bool kLow>
void MultiplyOne(const uint16_t* hi, const uint16_t* lo, const uint16_t* b) {
  constexpr int64_t kBytes = kStride * sizeof(uint16_t), kTileSize = kTile * kStep;
  _tile_loadd(4, hi, kBytes);
  if constexpr (kLow) {
    _tile_loadd(6, b + 2 * kTileSize, 64);
    _tile_loadd(7, b + 3 * kTileSize, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
  }
  _tile_loadd(6, b, 64);
  _tile_loadd(7, b + kTileSize, 64);
  _tile_dpbf16ps(0, 4, 6);
  _tile_dpbf16ps(1, 4, 7);
  if constexpr (kLow) {
    _tile_loadd(5, lo, kBytes);
    _tile_dpbf16ps(0, 5, 6);
    _tile_dpbf16ps(1, 5, 7);
  }
}

template <bool kTwo>
void LoadSums(const float* sums, bool first) {
  if (first) {
    _tile_zero(0);
    _tile_zero(1);
    if (kTwo) _tile_zero(2);
    if (kTwo) _tile_zero(3);
    return;
  }
  _tile_loadd(0, sums, 64);
  _tile_loadd(1, sums + 256, 64);
  if (kTwo) _tile_loadd(2, sums + 512, 64);
  if (kTwo) _tile_loadd(3, sums + 768, 64);
}

template <bool kTwo>
void StoreSums(float* sums) {
  _tile_stored(0, sums, 64);
  _tile_stored(1, sums + 256, 64);
  if (kTwo) _tile_stored(2, sums + 512, 64);
  if (kTwo) _tile_stored(3, sums + 768, 64);
}

// 32 (or 16) rows x 32 columns. With `list` the steps of B are gathered on the way, one ahead of their use.
template <bool kLow, bool kTwo>
void RegisterBlock(const uint16_t* hi, const uint16_t* lo, uint16_t* b, int64_t steps, const uint16_t* w,
                   const int32_t* list, float* sums, bool first) {
  LoadSums<kTwo>(sums, first);
  if (list != nullptr) GatherStep<kLow>(w, list, b);
  for (int64_t s = 0; s < steps; ++s) {
    if (list != nullptr && s + 1 < steps) GatherStep<kLow>(w, list + (s + 1) * kStep, b + (s + 1) * kStepTiles);
    if constexpr (kTwo) {
      MultiplyTwo<kLow>(hi + s * kStep, lo + s * kStep, b + s * kStepTiles);
    } else {
      MultiplyOne<kLow>(hi + s * kStep, lo + s * kStep, b + s * kStepTiles);
    }
  }
  StoreSums<kTwo>(sums);
}

// The epilogue: sums of up to 32 rows x 32 columns to their places in Y.
void Finish(const SplitBlock& block, const ConvRow* rows, int64_t count, int64_t column, const float* sums) {
  const __m512 lo = _mm512_set1_ps(block.lo), hi = _mm512_set1_ps(block.hi);
  for (int half = 0; half < 2; ++half) {
    const int64_t left = block.columns - column - half * kTile;
    if (left <= 0) return;
    const __mmask16 mask = left >= kTile ? 0xFFFF : static_cast<__mmask16>((1u << left) - 1);
    for (int64_t r = 0; r < count; ++r) {
      const int64_t n = column + half * kTile;
      __m512 v = _mm512_load_ps(sums + (r / kTile) * 512 + half * 256 + (r % kTile) * kTile);
      if (block.z != nullptr) {
        const __m512 z = _mm512_maskz_loadu_ps(mask, block.z + rows[r].pixel * block.z_stride + n);
        v = ClipRule<Vector>(v, z, lo, hi);
      }
      _mm512_mask_storeu_ps(block.y + rows[r].target * block.y_stride + n, mask, v);
    }
  }
}

int64_t Padded(int64_t rows) { return (rows + kTile - 1) / kTile * kTile; }

// Stages the rows of a group; rows that fill up its last tile are zero.
void StageGroup(const uint16_t* x, const ConvRow* rows, const SplitGroup& group, const SplitBlock& block, int64_t begin,
                int64_t end, uint16_t* out) {
  for (int64_t r = 0; r < group.count; ++r) {
    StageRow(x, rows[r], block.words + begin, group.masks + begin, end - begin, out + r * kStride);
  }
  std::fill_n(out + group.count * kStride, (Padded(group.count) - group.count) * kStride, uint16_t{0});
}

template <bool kLow>
void ConvSplit(const SplitBlock& block) {
  static thread_local Scratch scratch;
  int64_t staged = 0, pairs = 0;
  for (int64_t g = 0; g < block.group_count; ++g) {
    staged += Padded(block.groups[g].count);
    pairs += (Padded(block.groups[g].count) + kPair - 1) / kPair;
  }
  constexpr int64_t kList = kChunk + kStep, kSums = kPair * kSplitColumns;
  const int64_t blocks = (block.columns + kSplitColumns - 1) / kSplitColumns;
  uint16_t* const hi = Grown(&scratch.hi, staged * kStride);
  uint16_t* const lo = kLow ? Grown(&scratch.lo, staged * kStride) : hi;
  uint16_t* const weights = Grown(&scratch.weights, kChunk / kStep * kStepTiles);
  int32_t* const lists = Grown(&scratch.list, block.group_count * kList);
  scratch.steps.resize(static_cast<size_t>(block.group_count));
  const bool single = ChunkEnd(block, 0, kChunk) == block.word_count;
  float* const sums = Grown(&scratch.sums, single ? kSums : blocks * pairs * kSums);
  Configure();
  for (int64_t begin = 0, end = 0; begin == 0 || begin < block.word_count; begin = end) {
    end = ChunkEnd(block, begin, kChunk);
    const bool first = begin == 0, last = end == block.word_count;
    int64_t row = 0, at = 0;
    for (int64_t g = 0; g < block.group_count; ++g) {
      const SplitGroup& group = block.groups[g];
      StageGroup(block.x_hi, block.rows + row, group, block, begin, end, hi + at * kStride);
      if (kLow) StageGroup(block.x_lo, block.rows + row, group, block, begin, end, lo + at * kStride);
      scratch.steps[g] =
          ListSteps(block.words + begin, group.masks + begin, end - begin, block.depth, kStep, lists + g * kList);
      row += group.count, at += Padded(group.count);
    }
    float* here = sums;
    for (int64_t b = 0; b < blocks; ++b) {
      const uint16_t* w = block.w + b * (block.depth + 1) * (kLow ? 2 : 1) * kSplitColumns;
      row = 0, at = 0;
      for (int64_t g = 0; g < block.group_count; ++g) {
        const int64_t count = block.groups[g].count, padded = Padded(count), steps = scratch.steps[g];
        for (int64_t i = 0; i < padded; i += kPair) {
          const uint16_t *a_hi = hi + (at + i) * kStride, *a_lo = lo + (at + i) * kStride;
          const int32_t* gather = i == 0 ? lists + g * kList : nullptr;
          if (padded - i > kTile) {
            RegisterBlock<kLow, true>(a_hi, a_lo, weights, steps, w, gather, here, first);
          } else {
            RegisterBlock<kLow, false>(a_hi, a_lo, weights, steps, w, gather, here, first);
          }
          if (last) Finish(block, block.rows + row + i, std::min(kPair, count - i), b * kSplitColumns, here);
          if (!single) here += kSums;
        }
        row += count, at += padded;
      }
    }
    if (last) break;
  }
  _tile_release();
}

void ConvBlockAmx(const SplitBlock& block) {
  if (block.x_lo != nullptr) {
    ConvSplit<true>(block);
  } else {
    ConvSplit<false>(block);
  }
}

// Linux hands out the tile registers on request, once a process.
bool Permitted() {
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  static const bool permitted = syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return permitted;
}

}  // namespace

const SplitKernels* AmxSplitKernels() {
  static constexpr SplitCosts kCosts = {22, 55, 130, 1.5, 0.5, 0.05, 1.6};
  static constexpr SplitKernels kKernels = {Split, ConvBlockAmx, nullptr, 2 * kTile, 40, 8, 0.6, kCosts};
  return Permitted() ? &kKernels : nullptr;
}

}  // namespace krypton
