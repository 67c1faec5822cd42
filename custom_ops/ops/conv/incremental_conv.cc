// IncrementalConv: the convolution of a delta, DY = W * DX without bias, on the boxes' pixels only. With Z0 the clip
// rule of the activation follows while the tile is in registers; another delta B is added while it is in the cache: DY
// = W * DX + DB.
//
// It is an implicit GEMM whose rows are output pixels (kernels/table.h). Rows are sorted by tap set, then by pixel
// (plan.h); a task is some hundred rows and all columns:
//
//   for tap set among the rows: tiles and their lists of non-zeros (tiles.h)
//     for group: for block of columns: conv_block (kernels/table.h)
//
// A convolution of volumes is this one of its slices, behind DepthGather; its W keeps the depth of its window.
#include <algorithm>
#include <limits>
#include <optional>
#include <string>

#include "op/op.h"
#include "op/packed_weights.h"
#include "op/parallel.h"
#include "op/thresholds.h"
#include "ops/conv/call.h"
#include "ops/conv/depthwise.h"
#include "ops/conv/plan.h"
#include "ops/conv/split.h"
#include "ops/conv/tiles.h"
#include "ops/ops.h"

namespace krypton {
namespace {

// Rows of a task, of fp32 vectors and of split precision: enough that a block of weights is used often while it is in
// L2, few enough that the rows' inputs stay there too.
constexpr int64_t kTaskRows = 512, kSplitTaskRows = 1536;
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

// W [M, C/G, kD, kH, kW] -> [M, kD, C/G, kH, kW], the order of DepthGather's channels.
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

// Each row of Y finds here the row that is added to it and the base that it is clipped by.
class SumRows {
 public:
  SumRows(const Ort::KernelContext& context, const ConvCall& call) {
    if (!call.adds) return;
    rows_.resize(static_cast<size_t>(call.y_boxes.rows()));
    ForEachPixel(context, call.y_boxes, [&](int64_t b, int64_t y, int64_t x, int64_t row) {
      const int64_t from = RowOf(call.b_boxes, b, y, x);
      rows_[row] = {from < 0 ? nullptr : call.b.row(from), call.z.data == nullptr ? nullptr : call.z.pixel(b, y, x)};
    });
  }
  // Adds to row `row`, of which `y` holds the convolution, and clips.
  void Finish(int64_t row, const ConvCall& call, const ConvAttributes& attributes, float* y) const {
    const Kernels& kernels = ActiveKernels();
    const auto [b, z] = rows_[row];
    if (b != nullptr) kernels.add_scaled_row(y, b, 1.0f, call.shape.maps);
    if (z != nullptr) kernels.clip_row(y, y, z, call.shape.maps, attributes.bounds.lo, attributes.bounds.hi);
  }

 private:
  struct Row {
    const float *b, *z;
  };
  std::vector<Row> rows_;
};

struct IncrementalConv : KernelBase<IncrementalConv> {
  static constexpr const char* kName = "IncrementalConv";
  using In = IncrementalConvInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit IncrementalConv(const Ort::ConstKernelInfo& info)
      : KernelBase(info), attributes_(ReadConvAttributes(info)) {}

  void Compute(Ort::KernelContext context) const {
    const ConvCall call = ReadConvCall(context, attributes_);
    const BoxList &x_boxes = call.x_boxes, &y_boxes = call.y_boxes;
    const Values& x = call.x;
    const ConvShape& shape = call.shape;
    const BaseMap z = call.adds ? BaseMap{} : call.z;  // what the sums themselves are clipped by
    const DeltaLimit limit(context, In::limit);
    const int64_t taps = attributes_.window.y.kernel * attributes_.window.x.kernel;
    // Packs what pack(W) makes of the weights, once.
    const auto packed_once = [&](PackedWeights* kept, const auto& pack) {
      return kept->Get(call.weights, call.weights_shape, [&] {
        return pack(shape.slices == 1 ? call.weights : GatheredOrder(call.weights, shape, taps).data());
      });
    };
    float* y = WriteValues(context, y_boxes.rows(), shape.maps);
    if (shape.depthwise() && !call.adds) {
      const float* packed = packed_once(&packed_, [&](const float* w) { return PackTaps(w, shape.channels, taps); });
      DepthwiseConv(context, attributes_.window, x, x_boxes, y_boxes, packed, z, attributes_.bounds.lo,
                    attributes_.bounds.hi, limit, y);
      return;
    }
    const NonzeroMap nonzero(context, x);
    const SplitKernels* split = ActiveKernels().split;
    if (split != nullptr && !SplitPays(split->costs, shape, nonzero.density())) split = nullptr;
    const bool sparse = nonzero.density() < (split == nullptr ? kDense : split->dense);
    const ConvPlan plan =
        PlanConv(context, attributes_.window, x_boxes, y_boxes, shape.channels, attributes_.slices, sparse);
    const SumRows sums(context, call);
    const auto finish = [&](int64_t row) {
      float* out = y + row * shape.maps;
      if (call.adds) sums.Finish(row, call, attributes_, out);
      limit.Flush(out, shape.maps);
    };
    ParallelRanges(context, static_cast<int64_t>(plan.untouched.size()), 64, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        std::fill_n(y + plan.untouched[i] * shape.maps, shape.maps, 0.0f);
        finish(plan.untouched[i]);
      }
    });
    std::optional<SplitValues> pieces;
    SplitBlock block{};
    if (split != nullptr) {
      const bool low = attributes_.precision == Precision::kBfloat16x3;
      const float* packed = packed_once(
          &split_packed_, [&](const float* w) { return PackSplit(*split, w, shape.maps, shape.channels, taps, low); });
      pieces.emplace(context, *split, x, low);
      block.x_hi = pieces->hi(), block.x_lo = pieces->lo();
      block.w = reinterpret_cast<const uint16_t*>(packed), block.depth = taps * shape.channels;
      block.columns = shape.maps, block.y = y, block.y_stride = shape.maps;
      block.z = z.data, block.z_stride = shape.maps, block.lo = attributes_.bounds.lo, block.hi = attributes_.bounds.hi;
    }
    const int64_t task_rows = pieces ? kSplitTaskRows : kTaskRows;
    ForTasks(context, plan, task_rows, [&](const TapClass& c, int64_t begin, int64_t end) {
      if (pieces && end - begin >= split->fewest_rows) {
        std::vector<ConvSegment> segments;
        Segments(c, shape, 1, &segments);
        ConvGroups(*split, plan.rows.data() + begin, end - begin, segments, sparse ? &nonzero : nullptr, block);
      } else {
        const float* packed = packed_once(&packed_, [&](const float* w) { return PackBlocks(w, shape, taps); });
        Columns(x, plan, c, begin, end, shape, packed, sparse ? &nonzero : nullptr, z, y);
      }
      for (int64_t i = begin; i < end; ++i) finish(plan.rows[i].target);
    });
  }

 private:
  // Whether split precision beats fp32 vectors, in cycles for a row: its products are faster, but X is split and
  // staged first, and the strips of matrix tiles share fewer zeros than 6 rows.
  bool SplitPays(const SplitCosts& costs, const ConvShape& shape, double density) const {
    const double rate = attributes_.precision == Precision::kBfloat16x3 ? costs.triple : costs.single;
    if (attributes_.precision == Precision::kFloat32 || rate == 0 || shape.groups != 1) return false;
    const double taps = static_cast<double>(attributes_.window.y.kernel * attributes_.window.x.kernel);
    const double depth = taps * static_cast<double>(shape.depth), maps = static_cast<double>(shape.maps);
    const int64_t stretch =
        attributes_.window.x.dilation == 1 ? attributes_.window.x.kernel * shape.depth : shape.depth;
    const double staged = static_cast<double>((stretch + 63) / 64 * 64) * depth / static_cast<double>(stretch);
    const double vectors = std::min(1.0, 1.2 * density) * depth * maps / costs.vectors;
    const double pieces = costs.split * static_cast<double>(shape.depth) + costs.stage * staged +
                          std::min(1.0, costs.share + costs.growth * density) * depth * maps / rate;
    return pieces < vectors;
  }

  // Calls task(class, begin, end) for all rows, in ranges of at most task_rows.
  template <class Task>
  static void ForTasks(const Ort::KernelContext& context, const ConvPlan& plan, int64_t task_rows, const Task& task) {
    const int64_t rows = static_cast<int64_t>(plan.rows.size());
    ParallelRanges(context, rows, std::clamp<int64_t>(rows / 8, 64, task_rows), [&](int64_t begin, int64_t end) {
      for (const TapClass& c : plan.classes) {
        for (int64_t from = std::max(begin, c.first), to = std::min(end, c.last); from < to; from += task_rows) {
          task(c, from, std::min(to, from + task_rows));
        }
      }
    });
  }

  // The reduction of one tap set as stretches that lie side by side in X and in W.
  void Segments(const TapClass& c, const ConvShape& shape, int64_t width, std::vector<ConvSegment>* segments) const {
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

  void Columns(const Values& x, const ConvPlan& plan, const TapClass& c, int64_t begin, int64_t end,
               const ConvShape& shape, const float* packed, const NonzeroMap* nonzero, const BaseMap& z,
               float* y) const {
    static thread_local TileLists tiles;
    static thread_local std::vector<ConvSegment> segments;
    const ColumnBlocks blocks(shape.maps_per_group);
    const int64_t depth = attributes_.window.y.kernel * attributes_.window.x.kernel * shape.depth;
    ConvBlock block{};
    block.lo = attributes_.bounds.lo, block.hi = attributes_.bounds.hi, block.z_stride = shape.maps;
    for (int64_t group = 0; group < shape.groups; ++group) {
      Segments(c, shape, blocks.full, &segments);
      tiles.Build(plan.rows.data() + begin, end - begin, segments, nonzero, group * shape.depth);
      block.x = x.data + group * shape.depth;
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
  void RaggedColumns(ConvBlock block, int64_t columns, float* y, int64_t y_stride) const {
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

  ConvAttributes attributes_;
  mutable PackedWeights packed_, split_packed_;
};

}  // namespace

const OrtCustomOp* IncrementalConvOp() {
  static const Op<IncrementalConv> op;
  return &op;
}

}  // namespace krypton
