// IncrementalMultiply: the delta of A * B, each delta zero outside its own box (a gate of a map by a map):
//   DY = A0 * DB + B0 * DA + DA * DB
#include <algorithm>
#include <vector>

#include "common/pixels.h"
#include "common/thresholds.h"
#include "kernels/kernels.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct IncrementalMultiply : KernelBase<IncrementalMultiply> {
  static constexpr const char* kName = "IncrementalMultiply";
  static constexpr Slot kInputs[] = {kFloat, kInt32, kFloat, kFloat, kInt32, kFloat, kInt32, kFloatOptional};
  static constexpr Slot kOutputs[] = {kFloat};

  using KernelBase::KernelBase;

  void Compute(Ort::KernelContext context) const {
    const BaseMap a0 = ReadBaseMap(context, 2, "A0"), b0 = ReadBaseMap(context, 5, "B0");
    const BoxList a_boxes = ReadBoxes(context, 1, "a_boxes", {a0.h, a0.w});
    const BoxList b_boxes = ReadBoxes(context, 4, "b_boxes", {b0.h, b0.w});
    const BoxList y_boxes = ReadBoxes(context, 6, "y_boxes", {a0.h, a0.w});
    const Values a = ReadValues(context, 0, "A", a_boxes), b = ReadValues(context, 3, "B", b_boxes);
    if (a.channels != b.channels) Fail("A and B: expected equal channels");
    CheckMap(a0, "A0", {a0.h, a0.w}, a.channels);
    CheckMap(b0, "B0", {a0.h, a0.w}, a.channels);
    CheckInside(y_boxes, {a_boxes, b_boxes});
    const DeltaLimit limit(context, 7);
    const int64_t channels = a.channels;
    const std::vector<float> none(static_cast<size_t>(channels), 0.0f);
    float* out = WriteValues(context, 0, y_boxes.rows(), channels);
    ForEachPixel(context, y_boxes, [&](int64_t p, int64_t py, int64_t px, int64_t row) {
      const int64_t from_a = RowOf(a_boxes, p, py, px), from_b = RowOf(b_boxes, p, py, px);
      float* y = out + row * channels;
      ActiveKernels().product_row(y, a0.pixel(py, px), from_a < 0 ? none.data() : a.row(from_a), b0.pixel(py, px),
                                  from_b < 0 ? none.data() : b.row(from_b), channels);
      limit.Flush(y, channels);
    });
  }
};

}  // namespace

const OrtCustomOp* IncrementalMultiplyOp() {
  static const Op<IncrementalMultiply> op;
  return &op;
}

}  // namespace krypton
