// IncrementalResample: each pixel a sum of weighted pixels, the weights a product of one factor for each axis.
#include <algorithm>

#include "kernels/table.h"
#include "op/op.h"
#include "op/parallel.h"
#include "op/thresholds.h"
#include "ops/moves/call.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct IncrementalResample : KernelBase<IncrementalResample> {
  static constexpr const char* kName = "IncrementalResample";
  using In = IncrementalResampleInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit IncrementalResample(const Ort::ConstKernelInfo& info) : KernelBase(info), shape_(ReadInputShape(info)) {}

  void Compute(Ort::KernelContext context) const {
    const ResampleCall call = ReadResampleCall(context, shape_);
    const ResampleAxis &ys = call.ys, &xs = call.xs;
    const BoxList &x_boxes = call.x_boxes, &y_boxes = call.y_boxes;
    const Values& d = call.d;
    const DeltaLimit limit(context, In::limit);
    float* out = WriteValues(context, y_boxes.rows(), d.channels);
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
  MapShape shape_;
};

}  // namespace

const OrtCustomOp* IncrementalResampleOp() {
  static const Op<IncrementalResample> op;
  return &op;
}

}  // namespace krypton
