// IncrementalConv: the convolution of a delta, DY = W * DX without bias, on the boxes' pixels only;
// with Z0 the clip rule of the activation follows while the tile is in registers.
//
//   rows are sorted by tap set (conv_plan.h); a task is some hundred rows and all columns:
//   for group: for block of 32 columns: for tap set among the rows: ConvBlock (kernels.h)
#include <algorithm>
#include <limits>

#include "common/packed_weights.h"
#include "ops/conv_plan.h"
#include "ops/ops.h"

namespace krypton {
namespace {

// Rows of a task: enough that a stretch of weights in L1 pays, few enough that their inputs stay in L2.
constexpr int64_t kTaskRows = 512;

struct Shape {
  int64_t channels, groups, depth, maps, maps_per_group;  // C, G, C/G, M, M/G
  int64_t panels() const { return (maps_per_group + kPanel - 1) / kPanel; }
  bool depthwise() const { return depth == 1 && groups == channels && maps == channels; }
};

// W [M, C/G, kH, kW] -> [group][panel][ky][kx][C/G][16], zeros beyond the last column.
AlignedFloats PackPanels(const float* w, const Shape& s, int64_t taps) {
  const int64_t size = s.groups * s.panels() * taps * s.depth * kPanel;
  AlignedFloats packed = AllocateAligned(static_cast<size_t>(size));
  std::fill_n(packed.get(), size, 0.0f);
  for (int64_t m = 0; m < s.maps; ++m) {
    const int64_t group = m / s.maps_per_group, column = m % s.maps_per_group;
    float* panel = packed.get() + (group * s.panels() + column / kPanel) * taps * s.depth * kPanel + column % kPanel;
    for (int64_t c = 0; c < s.depth; ++c) {
      for (int64_t t = 0; t < taps; ++t) panel[(t * s.depth + c) * kPanel] = w[(m * s.depth + c) * taps + t];
    }
  }
  return packed;
}

// Depthwise W [C, 1, kH, kW] -> [ky][kx][C].
AlignedFloats PackTaps(const float* w, int64_t channels, int64_t taps) {
  AlignedFloats packed = AllocateAligned(static_cast<size_t>(channels * taps));
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t t = 0; t < taps; ++t) packed[t * channels + c] = w[c * taps + t];
  }
  return packed;
}

struct IncrementalConv : KernelBase<IncrementalConv> {
  static constexpr const char* kName = "IncrementalConv";
  static constexpr Slot kInputs[] = {kFloat, kInt32, kInt32, kFloat, kFloatOptional}, kOutputs[] = {kFloat};

  explicit IncrementalConv(const Ort::ConstKernelInfo& info)
      : KernelBase(info),
        window_(ReadWindow(info)),
        groups_(AttributeOr<int64_t>(info, "group", 1)),
        lo_(AttributeOr<float>(info, "min", 0.0f)),
        hi_(AttributeOr<float>(info, "max", std::numeric_limits<float>::infinity())) {}

  void Compute(Ort::KernelContext context) const {
    const BoxList x_boxes = ReadBoxes(context, 1, "x_boxes", window_.input());
    const BoxList y_boxes = ReadBoxes(context, 2, "y_boxes", window_.output());
    CheckSameCount(x_boxes, y_boxes, "x_boxes", "y_boxes");
    const Values x = ReadValues(context, 0, "X", x_boxes);
    const Ort::ConstValue weights = context.GetInput(3);
    const Shape shape = ReadShape(weights, x.channels);
    BaseMap z{nullptr, 0, 0, 0};
    if (context.GetInputCount() > 4 && context.GetInput(4)) {
      z = ReadBaseMap(context, 4, "Z0");
      CheckMap(z, "Z0", window_.output(), shape.maps);
    }
    const int64_t taps = window_.y.kernel * window_.x.kernel;
    const float* raw = weights.GetTensorData<float>();
    const float* packed = packed_.Get(
        raw, [&] { return shape.depthwise() ? PackTaps(raw, shape.channels, taps) : PackPanels(raw, shape, taps); });

    float* y = WriteValues(context, 0, y_boxes.rows(), shape.maps);
    const ConvPlan plan = PlanConv(window_, x_boxes, y_boxes, shape.channels);
    for (int64_t row : plan.untouched) std::fill_n(y + row * shape.maps, shape.maps, 0.0f);
    const int64_t rows = static_cast<int64_t>(plan.rows.size());
    ParallelRanges(context, rows, TaskRows(rows), [&](int64_t begin, int64_t end) {
      for (const TapClass& c : plan.classes) {
        if (c.last <= begin || c.first >= end) continue;
        if (shape.depthwise()) {
          DepthwiseRows(x, plan, c, std::max(begin, c.first), std::min(end, c.last), packed, z, y);
        }
      }
      if (!shape.depthwise()) Columns(x, plan, begin, end, shape, packed, z, y);
    });
  }

 private:
  static int64_t TaskRows(int64_t rows) { return std::clamp<int64_t>(rows / 8, 64, kTaskRows); }

  Shape ReadShape(const Ort::ConstValue& weights, int64_t channels) const {
    const std::vector<int64_t> w = weights.GetTensorTypeAndShapeInfo().GetShape();
    if (w.size() != 4 || w[2] != window_.y.kernel || w[3] != window_.x.kernel || groups_ < 1 ||
        w[1] * groups_ != channels || w[0] % groups_ != 0 || w[0] < 1) {
      Fail("W: expected [M,C/group,kH,kW] for C = " + std::to_string(channels) +
           ", group = " + std::to_string(groups_) + "; found " + ShapeText(w));
    }
    return {channels, groups_, w[1], w[0], w[0] / groups_};
  }

  void Columns(const Values& x, const ConvPlan& plan, int64_t begin, int64_t end, const Shape& shape,
               const float* packed, const BaseMap& z, float* y) const {
    const int64_t w_kx = shape.depth * kPanel, w_ky = window_.x.kernel * w_kx, w_panel = window_.y.kernel * w_ky;
    ConvBlock block{};
    block.x_kx = window_.x.dilation * shape.channels;
    block.w_ky = w_ky, block.w_kx = w_kx, block.w_panel = w_panel;
    block.lo = lo_, block.hi = hi_, block.z_stride = shape.maps;
    for (int64_t group = 0; group < shape.groups; ++group) {
      block.x = x.data + group * shape.depth;
      for (int64_t panel = 0; panel < shape.panels(); panel += kMaxPanels) {
        const int64_t column = group * shape.maps_per_group + panel * kPanel;
        block.panels = static_cast<int>(std::min<int64_t>(kMaxPanels, shape.panels() - panel));
        const int64_t columns = std::min<int64_t>(block.panels * kPanel, shape.maps_per_group - panel * kPanel);
        const float* w = packed + (group * shape.panels() + panel) * w_panel;
        for (const TapClass& c : plan.classes) {
          const int64_t first = std::max(begin, c.first), last = std::min(end, c.last);
          if (first >= last) continue;
          block.rows = plan.rows.data() + first, block.count = last - first;
          block.taps_y = c.y.hi - c.y.lo, block.taps_x = c.x.hi - c.x.lo, block.depth = shape.depth;
          if (window_.x.dilation == 1 && shape.groups == 1) {
            // Neighbouring pixels are contiguous in X and in W: one long stretch instead of taps_x short ones.
            block.depth *= block.taps_x, block.taps_x = 1;
          }
          block.w = w + c.y.lo * w_ky + c.x.lo * w_kx;
          block.z = z.data == nullptr ? nullptr : z.data + column;
          if (columns == block.panels * kPanel) {
            block.y = y + column, block.y_stride = shape.maps, block.sequential = false;
            ActiveKernels().conv_block(block);
          } else {
            RaggedColumns(block, columns, y + column, shape.maps);
          }
        }
      }
    }
  }

  // The last columns when their number is no multiple of 16: through a scratch block.
  void RaggedColumns(ConvBlock block, int64_t columns, float* y, int64_t y_stride) const {
    const Kernels& kernels = ActiveKernels();
    const float* z = block.z;
    float scratch[64 * kMaxPanels * kPanel];
    block.z = nullptr, block.sequential = true, block.y = scratch, block.y_stride = kMaxPanels * kPanel;
    const ConvRow* rows = block.rows;
    const int64_t total = block.count;
    for (int64_t i = 0; i < total; i += 64) {
      block.rows = rows + i, block.count = std::min<int64_t>(64, total - i);
      kernels.conv_block(block);
      for (int64_t r = 0; r < block.count; ++r) {
        const ConvRow& row = block.rows[r];
        float *from = scratch + r * block.y_stride, *to = y + row.target * y_stride;
        if (z == nullptr) {
          std::copy_n(from, columns, to);
        } else {
          kernels.clip_row(to, from, z + row.pixel * block.z_stride, columns, lo_, hi_);
        }
      }
    }
  }

  void DepthwiseRows(const Values& x, const ConvPlan& plan, const TapClass& c, int64_t begin, int64_t end,
                     const float* packed, const BaseMap& z, float* y) const {
    const Kernels& kernels = ActiveKernels();
    const int64_t channels = x.channels;
    for (int64_t r = begin; r < end; ++r) {
      const ConvRow& row = plan.rows[r];
      float* out = y + row.target * channels;
      std::fill_n(out, channels, 0.0f);
      for (int64_t ky = c.y.lo; ky < c.y.hi; ++ky) {
        for (int64_t kx = c.x.lo; kx < c.x.hi; ++kx) {
          const float* source =
              x.data + row.source + (ky - c.y.lo) * row.pitch + (kx - c.x.lo) * window_.x.dilation * channels;
          kernels.multiply_add_row(out, source, packed + (ky * window_.x.kernel + kx) * channels, channels);
        }
      }
      if (z.data != nullptr) kernels.clip_row(out, out, z.data + row.pixel * channels, channels, lo_, hi_);
    }
  }

  Window window_;
  int64_t groups_;
  float lo_, hi_;
  mutable PackedWeights packed_;
};

}  // namespace

const OrtCustomOp* IncrementalConvOp() {
  static const Op<IncrementalConv> op;
  return &op;
}

}  // namespace krypton
