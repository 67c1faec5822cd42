#include "ops/conv/split.h"

#include <algorithm>

namespace krypton {
namespace {

// Rows that are staged together: they stay in L2, and W is fetched once for all of them.
constexpr int64_t kBatchRows = 256;

uint64_t LowBits(int64_t count) { return count >= 64 ? ~uint64_t{0} : (uint64_t{1} << count) - 1; }

// The words of all segments, and masks with every bit set.
void ListWords(const std::vector<ConvSegment>& segments, std::vector<SplitWord>* words, std::vector<uint64_t>* masks) {
  words->clear(), masks->clear();
  for (const ConvSegment& s : segments) {
    for (int64_t k = 0; k < s.length; k += 64) {
      words->push_back({s.ky, s.x + k, s.w + k});
      masks->push_back(LowBits(s.length - k));
    }
  }
}

// The union of non-zeros of some rows, one mask a word.
void UnionMasks(const ConvRow* rows, int64_t count, const std::vector<SplitWord>& words,
                const std::vector<uint64_t>& full, const NonzeroMap& nonzero, uint64_t* masks) {
  std::fill_n(masks, words.size(), uint64_t{0});
  for (int64_t r = 0; r < count; ++r) {
    for (size_t i = 0; i < words.size(); ++i) {
      masks[i] |= nonzero.Word(rows[r].source + words[i].ky * rows[r].pitch + words[i].x);
    }
  }
  for (size_t i = 0; i < words.size(); ++i) masks[i] &= full[i];
}

int64_t Count(const uint64_t* masks, size_t words) {
  int64_t count = 0;
  for (size_t i = 0; i < words; ++i) count += __builtin_popcountll(masks[i]);
  return count;
}

}  // namespace

void SplitScratch::Resize(int64_t size, bool low) {
  constexpr int64_t kSlack = 128;
  low_ = low;
  for (AlignedBuffer* buffer : {&hi_, &lo_}) {
    if (buffer == &lo_ && !low) continue;
    buffer->Resize((size + kSlack) / 2 + 1);
    std::fill_n(reinterpret_cast<uint16_t*>(buffer->data()) + size, kSlack, uint16_t{0});
  }
}

SplitScratch SplitValues(const Ort::KernelContext& context, const SplitKernels& kernels, const Values& x, bool low) {
  constexpr int64_t kGrain = 1 << 16;
  const int64_t size = x.rows * x.channels;
  SplitScratch pieces;
  pieces.Resize(size, low);
  ParallelRanges(context, (size + 15) / 16, kGrain / 16, [&](int64_t begin, int64_t end) {
    const int64_t first = begin * 16, count = std::min(size, end * 16) - first;
    kernels.split(x.data + first, count, pieces.hi() + first, low ? pieces.lo() + first : nullptr);
  });
  return pieces;
}

AlignedFloats PackSplit(const SplitKernels& kernels, const float* w, int64_t maps, int64_t channels, int64_t taps,
                        bool low) {
  const int64_t depth = taps * channels, blocks = (maps + kSplitColumns - 1) / kSplitColumns;
  AlignedFloats packed = AllocateAligned(static_cast<size_t>(blocks * (depth + 1) * kSplitColumns / (low ? 1 : 2)));
  auto* out = reinterpret_cast<uint16_t*>(packed.get());
  float row[kSplitColumns];
  for (int64_t block = 0; block < blocks; ++block) {
    for (int64_t k = 0; k <= depth; ++k, out += (low ? 2 : 1) * kSplitColumns) {
      for (int64_t n = 0; n < kSplitColumns; ++n) {
        const int64_t map = block * kSplitColumns + (kernels.order == nullptr ? n : kernels.order[n]);
        row[n] = k == depth || map >= maps ? 0.0f : w[(map * channels + k % channels) * taps + k / channels];
      }
      kernels.split(row, kSplitColumns, out, low ? out + kSplitColumns : nullptr);
    }
  }
  return packed;
}

void ConvGroups(const SplitKernels& kernels, const ConvRow* rows, int64_t count,
                const std::vector<ConvSegment>& segments, const NonzeroMap* nonzero, SplitBlock block) {
  static thread_local std::vector<SplitWord> words;
  static thread_local std::vector<uint64_t> full, masks, both;
  static thread_local std::vector<SplitGroup> groups;
  ListWords(segments, &words, &full);
  const size_t n = words.size();
  block.words = words.data(), block.word_count = static_cast<int64_t>(n);
  const int64_t strip_rows = kernels.strip_rows, cost = kernels.gather_cost;
  masks.resize((kBatchRows / strip_rows + 2) * n);
  both.resize(n);
  const int64_t batches = (count + kBatchRows - 1) / kBatchRows;
  const int64_t batch = ((count + batches - 1) / batches + strip_rows - 1) / strip_rows * strip_rows;
  for (int64_t begin = 0; begin < count; begin += batch) {
    const int64_t end = std::min(count, begin + batch);
    groups.clear();
    if (nonzero == nullptr) {
      groups.push_back({end - begin, full.data()});
    } else {
      int64_t k = 0;  // of the last group
      for (int64_t i = begin; i < end; i += strip_rows) {
        const int64_t more = std::min(strip_rows, end - i);
        uint64_t* strip = masks.data() + groups.size() * n;
        UnionMasks(rows + i, more, words, full, *nonzero, strip);
        if (cost == 0) {
          groups.push_back({more, strip});
          continue;
        }
        const int64_t k_strip = Count(strip, n);
        if (!groups.empty()) {
          uint64_t* last = strip - n;
          for (size_t w = 0; w < n; ++w) both[w] = last[w] | strip[w];
          const int64_t k_both = Count(both.data(), n), size = groups.back().count;
          if (k_both * (size + more + cost) <= k * (size + cost) + k_strip * (more + cost)) {
            std::copy(both.begin(), both.end(), last);
            groups.back().count += more, k = k_both;
            continue;
          }
        }
        groups.push_back({more, strip});
        k = k_strip;
      }
    }
    block.rows = rows + begin, block.groups = groups.data(), block.group_count = static_cast<int64_t>(groups.size());
    kernels.conv_block(block);
  }
}

}  // namespace krypton
