// IncrementalGemm: the first fully connected layer, on the box's pixels only:
//   Y[b, n] = sum over (y, x) in box b, c of DX[b, y, x, c] * W[(y * width + x) * C + c, n]
// and of volumes over the slices (z) too, W[((z * height + y) * width + x) * C + c, n].
//
// Positions that cover a pixel share its C x N slice of W, so a task takes 128 columns and walks
// the pixels: pack the slice's columns into panels once (L2), pass over all rows of that pixel. W is
// read once a chunk and never kept a second time: VGG16's is 411 MB.
#include <algorithm>
#include <vector>

#include "kernels/table.h"
#include "op/op.h"
#include "op/packed_weights.h"
#include "ops/conv/call.h"
#include "ops/conv/tiles.h"
#include "ops/ops.h"

namespace krypton {
namespace {

constexpr int64_t kColumns = 128;

// rows[first[p] .. first[p + 1]) are the delta rows at pixel p.
struct PixelRows {
  std::vector<int64_t> first;
  std::vector<ConvRow> rows;
};

PixelRows GroupByPixel(const BoxList& boxes, int64_t channels, const VolumeShape& map) {
  PixelRows grouped;
  grouped.first.assign(static_cast<size_t>(map.pixels()) + 1, 0);
  const auto each = [&](const auto& visit) {
    for (int64_t b = 0; b < boxes.count; ++b) {
      const Box& box = boxes[b];
      int64_t row = boxes.offsets[b];
      const int64_t slice = b % map.depth, position = b / map.depth;
      for (int64_t y = box.y0; y < box.y1() && !box.empty(); ++y) {
        for (int64_t x = box.x0; x < box.x1(); ++x, ++row)
          visit((slice * map.slice.h + y) * map.slice.w + x, row, position);
      }
    }
  };
  each([&](int64_t pixel, int64_t, int64_t) { ++grouped.first[pixel + 1]; });
  for (size_t p = 1; p < grouped.first.size(); ++p) grouped.first[p] += grouped.first[p - 1];
  std::vector<int64_t> next(grouped.first.begin(), grouped.first.end() - 1);
  grouped.rows.resize(static_cast<size_t>(boxes.rows()));
  each([&](int64_t pixel, int64_t row, int64_t b) { grouped.rows[next[pixel]++] = {row * channels, 0, b, 0}; });
  return grouped;
}

struct IncrementalGemm : KernelBase<IncrementalGemm> {
  static constexpr const char* kName = "IncrementalGemm";
  using In = IncrementalGemmInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit IncrementalGemm(const Ort::ConstKernelInfo& info) : KernelBase(info), map_(ReadMapShape(info)) {}

  void Compute(Ort::KernelContext context) const {
    const GemmCall call = ReadGemmCall(context, map_);
    const BoxList& boxes = call.boxes;
    const Values &d = call.x, &w = call.w;
    const int64_t channels = d.channels, columns = w.channels, positions = boxes.count / map_.depth;
    float* out = context.GetOutput(0, {positions, columns}).GetTensorMutableData<float>();
    const PixelRows grouped = GroupByPixel(boxes, channels, map_);
    const NonzeroMap nonzero(context, d);
    const int64_t blocks = (columns + kColumns - 1) / kColumns;
    // Scratch is taken before the parallel part, which must not throw.
    const int64_t scratch_size = positions * kColumns + channels * kColumns;
    AlignedFloats scratch = AllocateAligned(static_cast<size_t>(blocks * scratch_size));
    ParallelFor(context, blocks, [&](int64_t block) {
      float* sums = scratch.get() + block * scratch_size;
      Block(d, w, grouped, nonzero, block * kColumns, positions, sums, sums + positions * kColumns, out);
    });
  }

 private:
  void Block(const Values& d, const Values& w, const PixelRows& grouped, const NonzeroMap& nonzero, int64_t column,
             int64_t positions, float* sums, float* packed, float* out) const {
    const int64_t channels = d.channels, columns = std::min(kColumns, w.channels - column);
    const Kernels& kernels = ActiveKernels();
    static thread_local TileLists tiles;
    std::vector<ConvSegment> segments = {{0, 0, 0, channels}};
    std::fill_n(sums, positions * kColumns, 0.0f);
    std::fill_n(packed, channels * kColumns, 0.0f);
    ConvBlock conv{};
    conv.x = d.data, conv.y_stride = kColumns, conv.accumulate = true;
    for (int64_t pixel = 0; pixel < map_.pixels(); ++pixel) {
      const int64_t first = grouped.first[pixel], count = grouped.first[pixel + 1] - first;
      if (count == 0) continue;
      tiles.Build(grouped.rows.data() + first, count, segments, &nonzero, 0);
      tiles.Fill(&conv);
      for (int64_t n = 0; n < columns; n += kernels.block_columns) {
        const int64_t used = std::min<int64_t>(kernels.block_columns, columns - n);
        conv.width = (used + kernels.lanes - 1) / kernels.lanes * kernels.lanes;
        conv.w = packed + n * channels, conv.y = sums + n;
        float* to = packed + n * channels;
        for (int64_t c = 0; c < channels; ++c)
          std::copy_n(w.row(pixel * channels + c) + column + n, used, to + c * conv.width);
        kernels.conv_block(conv);
      }
    }
    for (int64_t b = 0; b < positions; ++b) std::copy_n(sums + b * kColumns, columns, out + b * w.channels + column);
  }

  VolumeShape map_;
};

}  // namespace

const OrtCustomOp* IncrementalGemmOp() {
  static const Op<IncrementalGemm> op;
  return &op;
}

}  // namespace krypton
