#include "ops/conv/tiles.h"

#include <algorithm>
#include <numeric>

namespace krypton {

NonzeroMap::NonzeroMap(const Ort::KernelContext& context, const Values& x) {
  const int64_t size = x.rows * x.channels, full = (size + 63) / 64;
  words_.resize(static_cast<size_t>(full) + 1);
  words_.back() = 0;
  constexpr int64_t kGrain = 4096;  // words
  ParallelRanges(context, full, kGrain, [&](int64_t begin, int64_t end) {
    ActiveKernels().nonzero_bits(x.data + begin * 64, std::min(size, end * 64) - begin * 64, words_.data() + begin);
  });
  // A sample tells the density well enough to choose a way.
  const int64_t step = std::max<int64_t>(1, full / 4096);
  int64_t set = 0, seen = 0;
  for (int64_t i = 0; i < full; i += step, seen += 64) set += __builtin_popcountll(words_[i]);
  density_ = seen == 0 ? 0.0 : static_cast<double>(set) / static_cast<double>(std::min(seen, size));
}

void TileLists::Build(const ConvRow* rows, int64_t count, const std::vector<ConvSegment>& segments,
                      const NonzeroMap* nonzero, int64_t x_offset) {
  segments_ = &segments;
  shared_ = nonzero == nullptr;
  const int64_t tiles = (count + kTileRows - 1) / kTileRows, n = static_cast<int64_t>(segments.size());
  int64_t length = 0, longest = 0;
  for (const ConvSegment& segment : segments) {
    length += segment.length;
    longest = std::max(longest, segment.length);
  }
  tiles_.resize(static_cast<size_t>(tiles));
  counts_.resize(static_cast<size_t>(shared_ ? n : tiles * n));
  if (shared_) {
    indices_.resize(static_cast<size_t>(longest + kIndexSlack));
    std::iota(indices_.begin(), indices_.end(), uint16_t{0});
    for (int64_t s = 0; s < n; ++s) counts_[s] = static_cast<int32_t>(segments[s].length);
  } else {
    indices_.resize(static_cast<size_t>(tiles * length + kIndexSlack));
    words_.resize(static_cast<size_t>((longest + 63) / 64));
  }
  uint16_t* next = indices_.data();
  for (int64_t t = 0; t < tiles; ++t) {
    const ConvRow* first = rows + t * kTileRows;
    const int64_t height = std::min<int64_t>(kTileRows, count - t * kTileRows);
    int32_t* counts = counts_.data() + (shared_ ? 0 : t * n);
    tiles_[t] = {first, height, next, counts};
    if (shared_) continue;
    for (int64_t s = 0; s < n; ++s) {
      counts[s] = List(first, height, segments[s], *nonzero, x_offset, next);
      next += counts[s];
    }
  }
}

int32_t TileLists::List(const ConvRow* rows, int64_t count, const ConvSegment& segment, const NonzeroMap& nonzero,
                        int64_t x_offset, uint16_t* indices) {
  const int64_t words = (segment.length + 63) / 64;
  int64_t bits[kTileRows];
  for (int64_t r = 0; r < count; ++r) bits[r] = x_offset + rows[r].source + segment.ky * rows[r].pitch + segment.x;
  for (int64_t i = 0; i < words; ++i) {
    uint64_t any = 0;
    for (int64_t r = 0; r < count; ++r) any |= nonzero.Word(bits[r] + i * 64);
    words_[i] = any;
  }
  const int64_t rest = segment.length % 64;
  if (rest != 0) words_[words - 1] &= (uint64_t{1} << rest) - 1;
  return ActiveKernels().list_bits(words_.data(), words, indices);
}

void TileLists::Fill(ConvBlock* block) const {
  block->tiles = tiles_.data(), block->tile_count = static_cast<int64_t>(tiles_.size());
  block->segments = segments_->data(), block->segment_count = static_cast<int64_t>(segments_->size());
  block->shared_indices = shared_;
}

}  // namespace krypton
