// IncrementalConcat: channels side by side, each input zero outside its own box.
// Inputs: y_boxes, X1, boxes1, X2, boxes2, ...
#include <algorithm>

#include "common/pixels.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct IncrementalConcat : KernelBase<IncrementalConcat> {
  static constexpr const char* kName = "IncrementalConcat";
  static constexpr Slot kInputs[] = {kInt32, kAnyVariadic}, kOutputs[] = {kFloat};

  explicit IncrementalConcat(const Ort::ConstKernelInfo& info) : KernelBase(info) {}

  void Compute(Ort::KernelContext context) const {
    const BoxList y_boxes = ReadBoxes(context, 0, "y_boxes");
    const size_t count = context.GetInputCount() - 1;
    if (count % 2 != 0) Fail("expected y_boxes and then pairs of values and boxes");
    std::vector<BoxList> boxes;
    std::vector<Values> values;
    int64_t channels = 0;
    for (size_t i = 1; i < count; i += 2) {
      boxes.push_back(ReadBoxes(context, i + 1, "boxes"));
      values.push_back(ReadValues(context, i, "X", boxes.back()));
      channels += values.back().channels;
    }
    CheckInside(y_boxes, boxes);
    float* out = WriteValues(context, 0, y_boxes.rows(), channels);
    ForEachPixel(context, y_boxes, [&](int64_t b, int64_t py, int64_t px, int64_t row) {
      float* y = out + row * channels;
      for (size_t i = 0; i < values.size(); ++i) {
        const int64_t from = RowOf(boxes[i], b, py, px);
        if (from < 0) {
          std::fill_n(y, values[i].channels, 0.0f);
        } else {
          std::copy_n(values[i].row(from), values[i].channels, y);
        }
        y += values[i].channels;
      }
    });
  }
};

}  // namespace

const OrtCustomOp* IncrementalConcatOp() {
  static const Op<IncrementalConcat> op;
  return &op;
}

}  // namespace krypton
