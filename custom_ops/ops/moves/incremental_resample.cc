// IncrementalResample: each pixel a sum of weighted pixels, the weights a product of one factor for each axis.
#include <algorithm>

#include "geometry/pixels.h"
#include "geometry/resample_axis.h"
#include "kernels/table.h"
#include "op/thresholds.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct IncrementalResample : KernelBase<IncrementalResample> {
  static constexpr const char* kName = "IncrementalResample";
  static constexpr Slot kInputs[] = {kFloat, kInt32, kInt32, kInt64, kFloat, kInt64, kFloat, kFloatOptional};
  static constexpr Slot kOutputs[] = {kFloat};

  explicit IncrementalResample(const Ort::ConstKernelInfo& info)
      : KernelBase(info), shape_(ReadSize(info, "input_shape")) {}

  void Compute(Ort::KernelContext context) const {
    const ResampleAxis ys = ReadResampleAxis(context, 3, 4, "y", shape_[0]);
    const ResampleAxis xs = ReadResampleAxis(context, 5, 6, "x", shape_[1]);
    const BoxList x_boxes = ReadBoxes(context, 1, "x_boxes", {shape_[0], shape_[1]});
    const BoxList y_boxes = ReadBoxes(context, 2, "y_boxes", {ys.out, xs.out});
    CheckSameCount(x_boxes, y_boxes, "x_boxes", "y_boxes");
    const Values d = ReadValues(context, 0, "X", x_boxes);
    const DeltaLimit limit(context, 7);
    float* out = WriteValues(context, 0, y_boxes.rows(), d.channels);
    ForEachPixel(context, y_boxes, [&](int64_t b, int64_t oy, int64_t ox, int64_t row) {
      float* y = out + row * d.channels;
      std::fill_n(y, d.channels, 0.0f);
      for (int64_t ty = 0; ty < ys.taps; ++ty) {
        const int64_t iy = ys.at(oy, ty);
        for (int64_t tx = 0; iy >= 0 && tx < xs.taps; ++tx) {
          const int64_t ix = xs.at(ox, tx), source = ix < 0 ? -1 : RowOf(x_boxes, b, iy, ix);
          if (source < 0) continue;
          const float weight = ys.weight[oy * ys.taps + ty] * xs.weight[ox * xs.taps + tx];
          ActiveKernels().add_scaled_row(y, d.row(source), weight, d.channels);
        }
      }
      limit.Flush(y, d.channels);
    });
  }

 private:
  std::vector<int64_t> shape_;
};

}  // namespace

const OrtCustomOp* IncrementalResampleOp() {
  static const Op<IncrementalResample> op;
  return &op;
}

}  // namespace krypton
