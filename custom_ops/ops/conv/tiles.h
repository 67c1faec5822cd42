// Register tiles of planned rows and, for each tile, the lists of k that matter: the union of its rows' non-zeros.
// Exact: what a list leaves out is zero in every row of the tile.
#pragma once

#include <vector>

#include "geometry/box.h"
#include "kernels/table.h"
#include "op/parallel.h"

namespace krypton {

// Longest segment: the lists hold 16-bit numbers.
constexpr int64_t kMaxSegment = 1 << 15;

// Bit i is set where X[i] is not zero.
class NonzeroMap {
 public:
  NonzeroMap(const Ort::KernelContext& context, const Values& x);
  // One whose words are written from outside.
  NonzeroMap() = default;
  void Resize(int64_t words) { words_.resize(static_cast<size_t>(words) + 1); }
  uint64_t* words() { return words_.data(); }
  // Share of non-zeros, from 0 to 1.
  double density() const { return density_; }
  // 64 bits from any bit on.
  uint64_t Word(int64_t bit) const {
    const uint64_t* word = words_.data() + (bit >> 6);
    return word[0] >> (bit & 63) | word[1] << 1 << (63 - (bit & 63));
  }

 private:
  std::vector<uint64_t> words_;
  double density_ = 0;
};

// Tiles with their lists; reused from task to task.
class TileLists {
 public:
  // Tiles of rows[0 .. count) that share the segments, in order. `nonzero` is null for lists that name every k;
  // x_offset is where the block's X starts.
  void Build(const ConvRow* rows, int64_t count, const std::vector<ConvSegment>& segments, const NonzeroMap* nonzero,
             int64_t x_offset);
  // Sets the block's tiles, segments and lists.
  void Fill(ConvBlock* block) const;

 private:
  int32_t List(const ConvRow* rows, int64_t count, const ConvSegment& segment, const NonzeroMap& nonzero,
               int64_t x_offset, uint16_t* indices);

  const std::vector<ConvSegment>* segments_ = nullptr;
  bool shared_ = false;
  std::vector<ConvTile> tiles_;
  std::vector<uint16_t> indices_;
  std::vector<int32_t> counts_;
  std::vector<uint64_t> words_;
};

}  // namespace krypton
