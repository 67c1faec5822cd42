// ShrinkBoxes: each box cut to the hull of its rows that hold a non-zero: what later boxes grow from. The values stay
// on their own box. The only box op that looks at values.
#include "kernels/table.h"
#include "op/op.h"
#include "op/parallel.h"
#include "ops/boxes/call.h"
#include "ops/ops.h"

namespace krypton {
namespace {

// The hull of the non-zero rows, found from the outside in: a full box costs little more than its rim.
Box NonzeroHull(const Values& values, const Box& box, int64_t first_row) {
  const Kernels& kernels = ActiveKernels();
  const int64_t channels = values.channels;
  const auto any_in_rows = [&](int64_t y, int64_t x0, int64_t x1) {
    return kernels.any_nonzero(values.row(first_row + y * box.w + x0), (x1 - x0) * channels);
  };
  int64_t y0 = 0, y1 = box.h, x0 = 0, x1 = box.w;
  while (y0 < y1 && !any_in_rows(y0, 0, box.w)) ++y0;
  if (y0 == y1) return {0, 0, 0, 0};
  while (!any_in_rows(y1 - 1, 0, box.w)) --y1;
  const auto any_in_column = [&](int64_t x) {
    for (int64_t y = y0; y < y1; ++y) {
      if (any_in_rows(y, x, x + 1)) return true;
    }
    return false;
  };
  while (!any_in_column(x0)) ++x0;
  while (!any_in_column(x1 - 1)) --x1;
  return {static_cast<int32_t>(box.y0 + y0), static_cast<int32_t>(box.x0 + x0), static_cast<int32_t>(y1 - y0),
          static_cast<int32_t>(x1 - x0)};
}

struct ShrinkBoxes : KernelBase<ShrinkBoxes> {
  static constexpr const char* kName = "ShrinkBoxes";
  using In = ShrinkBoxesInputs;
  static constexpr Slot kOutputs[] = {kInt32};

  explicit ShrinkBoxes(const Ort::ConstKernelInfo& info) : KernelBase(info) {}

  void Compute(Ort::KernelContext context) const {
    const BoxList boxes = ReadBoxes(context, In::boxes);
    const Values values = ReadValues(context, In::X, boxes);
    Box* out_boxes = WriteBoxes(context, boxes.count);
    ParallelRanges(context, boxes.count, 4, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        out_boxes[b] = boxes[b].empty() ? Box{0, 0, 0, 0} : NonzeroHull(values, boxes[b], boxes.offsets[b]);
      }
    });
  }
};

}  // namespace

const OrtCustomOp* ShrinkBoxesOp() {
  static const Op<ShrinkBoxes> op;
  return &op;
}

}  // namespace krypton
