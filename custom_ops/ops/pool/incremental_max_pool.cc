// IncrementalMaxPool: DY = max over the taps inside the map of (X0 - Y0) + DX, DX = 0 outside the
// box. Where the winner keeps winning X0 - Y0 is exactly 0, so its own DX comes out unrounded. Of volumes the window
// has a depth too.
#include <algorithm>
#include <limits>

#include "kernels/table.h"
#include "op/op.h"
#include "op/parallel.h"
#include "ops/ops.h"
#include "ops/pool/call.h"

namespace krypton {
namespace {

struct IncrementalMaxPool : KernelBase<IncrementalMaxPool> {
  static constexpr const char* kName = "IncrementalMaxPool";
  using In = IncrementalMaxPoolInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit IncrementalMaxPool(const Ort::ConstKernelInfo& info) : KernelBase(info), window_(ReadPoolWindow(info)) {}

  void Compute(Ort::KernelContext context) const {
    const PoolCall call = ReadMaxPoolCall(context, window_);
    const BoxList &x_boxes = call.x_boxes, &y_boxes = call.y_boxes;
    const Values& d = call.d;
    const BaseMap &x0 = call.x0, &y0 = call.y0;
    const DeltaLimit limit(context, In::limit);
    float* out = WriteValues(context, y_boxes.rows(), d.channels);
    ForEachPixel(context, y_boxes, [&](int64_t b, int64_t oy, int64_t ox, int64_t row) {
      float* y = out + row * d.channels;
      std::fill_n(y, d.channels, -std::numeric_limits<float>::infinity());
      const Range taps_y = window_.map.y.Taps(oy, 0, x0.h), taps_x = window_.map.x.Taps(ox, 0, x0.w);
      const int64_t position = window_.depth.Position(b), slice = window_.depth.Slice(b);
      const Range taps_z = window_.depth.taps[slice];
      const float* before = y0.pixel(b, oy, ox);
      for (int64_t kz = taps_z.lo; kz < taps_z.hi; ++kz) {
        const int64_t x_box = window_.depth.Source(position, slice, kz);
        for (int64_t ky = taps_y.lo; ky < taps_y.hi; ++ky) {
          for (int64_t kx = taps_x.lo; kx < taps_x.hi; ++kx) {
            const int64_t iy = window_.map.y.Input(oy, ky), ix = window_.map.x.Input(ox, kx);
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
  PoolWindow window_;
};

}  // namespace

const OrtCustomOp* IncrementalMaxPoolOp() {
  static const Op<IncrementalMaxPool> op;
  return &op;
}

}  // namespace krypton
