// IncrementalMaxPool: DY = max over the taps inside the map of (X0 - Y0) + DX, DX = 0 outside the
// box. Where the winner keeps winning X0 - Y0 is exactly 0, so its own DX comes out unrounded. Of volumes the window
// has a depth too.
#include <algorithm>
#include <limits>

#include "geometry/pixels.h"
#include "geometry/window.h"
#include "kernels/table.h"
#include "op/thresholds.h"
#include "ops/conv/call.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct IncrementalMaxPool : KernelBase<IncrementalMaxPool> {
  static constexpr const char* kName = "IncrementalMaxPool";
  static constexpr Slot kInputs[] = {kFloat, kInt32, kInt32, kFloat, kFloat, kFloatOptional}, kOutputs[] = {kFloat};

  explicit IncrementalMaxPool(const Ort::ConstKernelInfo& info)
      : KernelBase(info), window_(ReadWindow(info)), depth_(ReadDepth(info)) {}

  void Compute(Ort::KernelContext context) const {
    const PoolCall call = ReadPoolCall(context, window_, depth_);
    const BoxList &x_boxes = call.x_boxes, &y_boxes = call.y_boxes;
    const Values& d = call.d;
    const BaseMap x0 = ReadBaseMap(context, 3, "X0"), y0 = ReadBaseMap(context, 4, "Y0");
    CheckMap(x0, "X0", window_.input(), d.channels, depth_.axis.in);
    CheckMap(y0, "Y0", window_.output(), d.channels, depth_.axis.out);
    const DeltaLimit limit(context, 5);
    float* out = WriteValues(context, 0, y_boxes.rows(), d.channels);
    ForEachPixel(context, y_boxes, [&](int64_t b, int64_t oy, int64_t ox, int64_t row) {
      float* y = out + row * d.channels;
      std::fill_n(y, d.channels, -std::numeric_limits<float>::infinity());
      const Range taps_y = window_.y.Taps(oy, 0, x0.h), taps_x = window_.x.Taps(ox, 0, x0.w);
      const int64_t position = depth_.Position(b), slice = depth_.Slice(b);
      const Range taps_z = depth_.taps[slice];
      const float* before = y0.pixel(b, oy, ox);
      for (int64_t kz = taps_z.lo; kz < taps_z.hi; ++kz) {
        const int64_t x_box = depth_.Source(position, slice, kz);
        for (int64_t ky = taps_y.lo; ky < taps_y.hi; ++ky) {
          for (int64_t kx = taps_x.lo; kx < taps_x.hi; ++kx) {
            const int64_t iy = window_.y.Input(oy, ky), ix = window_.x.Input(ox, kx);
            const int64_t source = RowOf(x_boxes, x_box, iy, ix);
            ActiveKernels().max_row(y, x0.pixel(x_box, iy, ix), before, source < 0 ? nullptr : d.row(source),
                                    d.channels);
          }
        }
      }
      limit.Flush(y, d.channels);
    });
  }

 private:
  Window window_;
  DepthWindow depth_;
};

}  // namespace

const OrtCustomOp* IncrementalMaxPoolOp() {
  static const Op<IncrementalMaxPool> op;
  return &op;
}

}  // namespace krypton
