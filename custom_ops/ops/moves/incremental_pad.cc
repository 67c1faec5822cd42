// IncrementalPad: a constant Pad moves a delta and, with negative pads, crops it.
#include <algorithm>

#include "geometry/pixels.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct IncrementalPad : KernelBase<IncrementalPad> {
  static constexpr const char* kName = "IncrementalPad";
  static constexpr Slot kInputs[] = {kFloat, kInt32, kInt32}, kOutputs[] = {kFloat};

  explicit IncrementalPad(const Ort::ConstKernelInfo& info)
      : KernelBase(info), shift_(ReadShift(info)), shape_(ReadSize(info, "output_shape")) {}

  void Compute(Ort::KernelContext context) const {
    const BoxList x_boxes = ReadBoxes(context, 1, "x_boxes"),
                  y_boxes = ReadBoxes(context, 2, "y_boxes", {shape_[0], shape_[1]});
    CheckSameCount(x_boxes, y_boxes, "x_boxes", "y_boxes");
    const Values x = ReadValues(context, 0, "X", x_boxes);
    float* out = WriteValues(context, 0, y_boxes.rows(), x.channels);
    ForEachPixel(context, y_boxes, [&](int64_t b, int64_t py, int64_t px, int64_t row) {
      const int64_t from = RowOf(x_boxes, b, py - shift_[0], px - shift_[1]);
      if (from < 0) {
        std::fill_n(out + row * x.channels, x.channels, 0.0f);
      } else {
        std::copy_n(x.row(from), x.channels, out + row * x.channels);
      }
    });
  }

 private:
  std::vector<int64_t> shift_, shape_;
};

}  // namespace

const OrtCustomOp* IncrementalPadOp() {
  static const Op<IncrementalPad> op;
  return &op;
}

}  // namespace krypton
