// IncrementalAdd: Y = A + beta * B, each delta zero outside its own box (Add, Sub, a residual).
#include <algorithm>

#include "geometry/pixels.h"
#include "kernels/table.h"
#include "op/thresholds.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct IncrementalAdd : KernelBase<IncrementalAdd> {
  static constexpr const char* kName = "IncrementalAdd";
  static constexpr Slot kInputs[] = {kFloat, kInt32, kFloat, kInt32, kInt32, kFloatOptional}, kOutputs[] = {kFloat};

  explicit IncrementalAdd(const Ort::ConstKernelInfo& info)
      : KernelBase(info), beta_(AttributeOr<float>(info, "beta", 1.0f)) {}

  void Compute(Ort::KernelContext context) const {
    const BoxList a_boxes = ReadBoxes(context, 1, "a_boxes"), b_boxes = ReadBoxes(context, 3, "b_boxes");
    const BoxList y_boxes = ReadBoxes(context, 4, "y_boxes");
    const Values a = ReadValues(context, 0, "A", a_boxes), b = ReadValues(context, 2, "B", b_boxes);
    if (a.channels != b.channels) Fail("A and B: expected equal channels");
    CheckInside(y_boxes, {a_boxes, b_boxes});
    const DeltaLimit limit(context, 5);
    const int64_t channels = a.channels;
    float* out = WriteValues(context, 0, y_boxes.rows(), channels);
    ForEachPixel(context, y_boxes, [&](int64_t p, int64_t py, int64_t px, int64_t row) {
      float* y = out + row * channels;
      const int64_t from_a = RowOf(a_boxes, p, py, px), from_b = RowOf(b_boxes, p, py, px);
      if (from_a < 0) {
        std::fill_n(y, channels, 0.0f);
      } else {
        std::copy_n(a.row(from_a), channels, y);
      }
      if (from_b >= 0) ActiveKernels().add_scaled_row(y, b.row(from_b), beta_, channels);
      limit.Flush(y, channels);
    });
  }

 private:
  float beta_;
};

}  // namespace

const OrtCustomOp* IncrementalAddOp() {
  static const Op<IncrementalAdd> op;
  return &op;
}

}  // namespace krypton
