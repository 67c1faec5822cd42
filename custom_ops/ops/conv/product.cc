#include "ops/conv/product.h"

#include <algorithm>

namespace krypton {
namespace {

// From this share of non-zeros on, lists are not worth their making for fp32 vectors.
constexpr double kDense = 0.95;

// How the M/G columns of a group are cut into blocks: full ones, then a narrower one that ends in padding.
struct ColumnBlocks {
  explicit ColumnBlocks(int64_t columns) : total(columns) {
    const Kernels& kernels = ActiveKernels();
    full = kernels.block_columns, lanes = kernels.lanes;
  }
  int64_t count() const { return (total + full - 1) / full; }
  int64_t columns(int64_t block) const { return std::min(full, total - block * full); }
  int64_t width(int64_t block) const { return (columns(block) + lanes - 1) / lanes * lanes; }
  int64_t padded() const { return (count() - 1) * full + width(count() - 1); }
  int64_t total, full, lanes;
};

// W [M, C/G, kH, kW] -> [group][block][ky][kx][C/G][width of the block], zeros beyond the last column.
AlignedFloats PackBlocks(const float* w, const ConvShape& s, int64_t taps) {
  const ColumnBlocks blocks(s.maps_per_group);
  const int64_t depth = taps * s.depth, size = s.groups * depth * blocks.padded();
  AlignedFloats packed = AllocateAligned(static_cast<size_t>(size));
  float* out = packed.get();
  for (int64_t group = 0; group < s.groups; ++group) {
    for (int64_t block = 0; block < blocks.count(); ++block) {
      const int64_t columns = blocks.columns(block), width = blocks.width(block);
      const float* from = w + (group * s.maps_per_group + block * blocks.full) * s.depth * taps;
      for (int64_t t = 0; t < taps; ++t) {
        for (int64_t c = 0; c < s.depth; ++c, out += width) {
          for (int64_t n = 0; n < width; ++n) out[n] = n < columns ? from[(n * s.depth + c) * taps + t] : 0.0f;
        }
      }
    }
  }
  return packed;
}

}  // namespace

std::vector<float> GatheredOrder(const float* w, const ConvShape& s, int64_t taps) {
  std::vector<float> ordered(static_cast<size_t>(s.maps * s.depth * taps));
  const int64_t part = s.depth / s.slices;
  float* out = ordered.data();
  for (int64_t m = 0; m < s.maps; ++m) {
    for (int64_t z = 0; z < s.slices; ++z) {
      for (int64_t c = 0; c < part; ++c, out += taps) {
        std::copy_n(w + ((m * part + c) * s.slices + z) * taps, taps, out);
      }
    }
  }
  return ordered;
}

template <class Pack>
const float* ConvProduct::PackedOnce(PackedWeights* kept, const ConvWeights& weights, const ConvShape& shape,
                                     const Pack& pack) const {
  return kept->Get(weights.data, weights.dims, [&] {
    const int64_t taps = attributes_.window.y.kernel * attributes_.window.x.kernel;
    return shape.slices == 1 ? pack(weights.data, taps) : pack(GatheredOrder(weights.data, shape, taps).data(), taps);
  });
}

// Split precision multiplies faster, but X is split and staged first, and the strips of matrix tiles share fewer zeros
// than 6 rows. Both ways are compared in cycles for a row.
const SplitKernels* ConvProduct::Split(const ConvShape& shape, double density) const {
  const SplitKernels* split = ActiveKernels().split;
  if (split == nullptr || attributes_.precision == Precision::kFloat32 || shape.groups != 1) return nullptr;
  const SplitCosts& costs = split->costs;
  const double rate = TakesLow() ? costs.triple : costs.single;
  if (rate == 0) return nullptr;
  const double taps = static_cast<double>(attributes_.window.y.kernel * attributes_.window.x.kernel);
  const double depth = taps * static_cast<double>(shape.depth), maps = static_cast<double>(shape.maps);
  const int64_t stretch = attributes_.window.x.dilation == 1 ? attributes_.window.x.kernel * shape.depth : shape.depth;
  const double staged = static_cast<double>((stretch + 63) / 64 * 64) * depth / static_cast<double>(stretch);
  const double vectors = std::min(1.0, 1.2 * density) * depth * maps / costs.vectors;
  const double pieces = costs.split * static_cast<double>(shape.depth) + costs.stage * staged +
                        std::min(1.0, costs.share + costs.growth * density) * depth * maps / rate;
  return pieces < vectors ? split : nullptr;
}

bool ConvProduct::IsSparse(const SplitKernels* split, double density) {
  return density < (split == nullptr ? kDense : split->dense);
}

void ConvProduct::Multiply(const ConvWeights& weights, const ConvShape& shape, const TapClass& c, const ConvRow* rows,
                           int64_t count, const ConvSource& source, const SplitKernels* split, const BaseMap& z,
                           float* y) const {
  if (source.hi == nullptr || count < split->fewest_rows) {
    const float* packed =
        PackedOnce(&packed_, weights, shape, [&](const float* w, int64_t taps) { return PackBlocks(w, shape, taps); });
    return Columns(packed, shape, c, rows, count, source, z, y);
  }
  const float* packed = PackedOnce(&split_packed_, weights, shape, [&](const float* w, int64_t taps) {
    return PackSplit(*split, w, shape.maps, shape.channels, taps, TakesLow());
  });
  SplitBlock block{};
  block.x_hi = source.hi, block.x_lo = source.lo, block.w = reinterpret_cast<const uint16_t*>(packed);
  block.depth = attributes_.window.y.kernel * attributes_.window.x.kernel * shape.channels;
  block.columns = shape.maps, block.y = y, block.y_stride = shape.maps;
  block.z = z.data, block.z_stride = shape.maps, block.lo = attributes_.bounds.lo, block.hi = attributes_.bounds.hi;
  std::vector<ConvSegment> segments;
  Segments(c, shape, 1, &segments);
  ConvGroups(*split, rows, count, segments, source.nonzero, block);
}

// The reduction of one tap set as stretches that lie side by side in X and in W.
void ConvProduct::Segments(const TapClass& c, const ConvShape& shape, int64_t width,
                           std::vector<ConvSegment>* segments) const {
  segments->clear();
  const int64_t taps_x = c.x.hi - c.x.lo;
  const bool joined = attributes_.window.x.dilation == 1 && shape.groups == 1;  // neighbouring pixels of one stretch
  const int64_t pieces = joined ? 1 : taps_x, length = joined ? taps_x * shape.depth : shape.depth;
  for (int64_t ky = c.y.lo; ky < c.y.hi; ++ky) {
    for (int64_t kx = 0; kx < pieces; ++kx) {
      const int64_t x = kx * attributes_.window.x.dilation * shape.channels;
      const int64_t w = ((ky * attributes_.window.x.kernel + c.x.lo + kx) * shape.depth) * width;
      for (int64_t k = 0; k < length; k += kMaxSegment) {
        segments->push_back({ky - c.y.lo, x + k, w + k * width, std::min(kMaxSegment, length - k)});
      }
    }
  }
}

void ConvProduct::Columns(const float* packed, const ConvShape& shape, const TapClass& c, const ConvRow* rows,
                          int64_t count, const ConvSource& source, const BaseMap& z, float* y) const {
  static thread_local TileLists tiles;
  static thread_local std::vector<ConvSegment> segments;
  const ColumnBlocks blocks(shape.maps_per_group);
  const int64_t depth = attributes_.window.y.kernel * attributes_.window.x.kernel * shape.depth;
  ConvBlock block{};
  block.lo = attributes_.bounds.lo, block.hi = attributes_.bounds.hi, block.z_stride = shape.maps;
  for (int64_t group = 0; group < shape.groups; ++group) {
    Segments(c, shape, blocks.full, &segments);
    tiles.Build(rows, count, segments, source.nonzero, group * shape.depth);
    block.x = source.x + group * shape.depth;
    for (int64_t b = 0; b < blocks.count(); ++b) {
      const int64_t column = group * shape.maps_per_group + b * blocks.full, columns = blocks.columns(b);
      block.width = blocks.width(b);
      if (block.width != blocks.full) Segments(c, shape, block.width, &segments);
      tiles.Fill(&block);
      block.w = packed + depth * (group * blocks.padded() + b * blocks.full);
      block.z = z.data == nullptr ? nullptr : z.data + column;
      if (columns == block.width) {
        block.y = y + column, block.y_stride = shape.maps, block.sequential = false;
        ActiveKernels().conv_block(block);
      } else {
        RaggedColumns(block, columns, y + column, shape.maps);
      }
    }
  }
}

// The last columns when they do not fill their vectors: tile by tile through a scratch block.
void ConvProduct::RaggedColumns(ConvBlock block, int64_t columns, float* y, int64_t y_stride) const {
  const Kernels& kernels = ActiveKernels();
  const ConvTile* tiles = block.tiles;
  const int64_t count = block.tile_count;
  const float* z = block.z;
  float scratch[kTileRows * kMaxBlockColumns];
  block.z = nullptr, block.sequential = true, block.y = scratch, block.y_stride = block.width, block.tile_count = 1;
  for (int64_t t = 0; t < count; ++t) {
    block.tiles = tiles + t;
    kernels.conv_block(block);
    for (int64_t r = 0; r < tiles[t].count; ++r) {
      const ConvRow& row = tiles[t].rows[r];
      float *from = scratch + r * block.y_stride, *to = y + row.target * y_stride;
      if (z == nullptr) {
        std::copy_n(from, columns, to);
      } else {
        kernels.clip_row(to, from, z + row.pixel * block.z_stride, columns, attributes_.bounds.lo,
                         attributes_.bounds.hi);
      }
    }
  }
}

}  // namespace krypton
