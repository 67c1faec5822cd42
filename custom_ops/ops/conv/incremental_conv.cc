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
#include "ops/conv/product.h"
#include "ops/ops.h"

namespace krypton {
namespace {

// Rows of a task, of fp32 vectors and of split precision: enough that a block of weights is used often while it is in
// L2, few enough that the rows' inputs stay there too.
constexpr int64_t kTaskRows = 512, kSplitTaskRows = 1536;
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

  explicit IncrementalConv(const Ort::ConstKernelInfo& info) : KernelBase(info), product_(ReadConvAttributes(info)) {}

  void Compute(Ort::KernelContext context) const {
    const ConvAttributes& attributes = product_.attributes();
    const ConvCall call = ReadConvCall(context, attributes);
    const BoxList &x_boxes = call.x_boxes, &y_boxes = call.y_boxes;
    const Values& x = call.x;
    const ConvShape& shape = call.shape;
    const BaseMap z = call.adds ? BaseMap{} : call.z;  // what the sums themselves are clipped by
    const DeltaLimit limit(context, In::limit);
    float* y = WriteValues(context, y_boxes.rows(), shape.maps);
    if (shape.depthwise() && !call.adds) {
      const float* packed = taps_.Get(call.weights, call.weights_shape, [&] {
        const int64_t taps = attributes.window.y.kernel * attributes.window.x.kernel;
        return shape.slices == 1 ? PackTaps(call.weights, shape.channels, taps)
                                 : PackTaps(GatheredOrder(call.weights, shape, taps).data(), shape.channels, taps);
      });
      DepthwiseConv(context, attributes.window, x, x_boxes, y_boxes, packed, z, attributes.bounds.lo,
                    attributes.bounds.hi, limit, y);
      return;
    }
    const NonzeroMap nonzero(context, x);
    const SplitKernels* split = product_.Split(shape, nonzero.density());
    const bool sparse = ConvProduct::IsSparse(split, nonzero.density());
    const ConvPlan plan =
        PlanConv(context, attributes.window, x_boxes, y_boxes, shape.channels, attributes.slices, sparse);
    const SumRows sums(context, call);
    const auto finish = [&](int64_t row) {
      float* out = y + row * shape.maps;
      if (call.adds) sums.Finish(row, call, attributes, out);
      limit.Flush(out, shape.maps);
    };
    ParallelRanges(context, static_cast<int64_t>(plan.untouched.size()), 64, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        std::fill_n(y + plan.untouched[i] * shape.maps, shape.maps, 0.0f);
        finish(plan.untouched[i]);
      }
    });
    std::optional<SplitScratch> pieces;
    ConvSource source{x.data, sparse ? &nonzero : nullptr};
    if (split != nullptr) {
      pieces = SplitValues(context, *split, x, product_.TakesLow());
      source.hi = pieces->hi(), source.lo = pieces->lo();
    }
    const ConvWeights weights{call.weights, call.weights_shape};
    ForTasks(context, plan, split == nullptr ? kTaskRows : kSplitTaskRows,
             [&](const TapClass& c, int64_t begin, int64_t end) {
               product_.Multiply(weights, shape, c, plan.rows.data() + begin, end - begin, source, split, z, y);
               for (int64_t i = begin; i < end; ++i) finish(plan.rows[i].target);
             });
  }

 private:
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

  ConvProduct product_;
  mutable PackedWeights taps_;
};

}  // namespace

const OrtCustomOp* IncrementalConvOp() {
  static const Op<IncrementalConv> op;
  return &op;
}

}  // namespace krypton
