// IncrementalAveragePool: DY = sum of DX over the taps / n, n the count of the *absolute* output
// window: taps inside the map, or with count_include_pad inside the map and its pads. Of volumes the window has a
// depth.
#include <algorithm>
#include <vector>

#include "kernels/table.h"
#include "op/op.h"
#include "op/parallel.h"
#include "ops/ops.h"
#include "ops/pool/call.h"

namespace krypton {
namespace {

struct IncrementalAveragePool : KernelBase<IncrementalAveragePool> {
  static constexpr const char* kName = "IncrementalAveragePool";
  using In = IncrementalAveragePoolInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit IncrementalAveragePool(const Ort::ConstKernelInfo& info)
      : KernelBase(info),
        window_(ReadPoolWindow(info)),
        include_pad_(AttributeOr<int64_t>(info, "count_include_pad", 0) != 0) {
    for (int64_t o = 0; o < window_.depth.axis.out; ++o)
      depth_counts_.push_back(window_.depth.axis.Count(o, include_pad_));
  }

  void Compute(Ort::KernelContext context) const {
    const PoolCall call = ReadAveragePoolCall(context, window_);
    const BoxList &x_boxes = call.x_boxes, &y_boxes = call.y_boxes;
    const Values& d = call.d;
    const DeltaLimit limit(context, In::limit);
    float* out = WriteValues(context, y_boxes.rows(), d.channels);
    ForEachPixel(context, y_boxes, [&](int64_t b, int64_t oy, int64_t ox, int64_t row) {
      float* y = out + row * d.channels;
      std::fill_n(y, d.channels, 0.0f);
      const int64_t position = window_.depth.Position(b), slice = window_.depth.Slice(b);
      const int64_t count =
          depth_counts_[slice] * window_.map.y.Count(oy, include_pad_) * window_.map.x.Count(ox, include_pad_);
      const float scale = 1.0f / static_cast<float>(count);
      for (int64_t kz = window_.depth.taps[slice].lo; kz < window_.depth.taps[slice].hi; ++kz) {
        const int64_t x_box = window_.depth.Source(position, slice, kz);
        const Box& box = x_boxes[x_box];
        if (box.empty()) continue;
        const Range taps_y = window_.map.y.Taps(oy, box.y0, box.y1()),
                    taps_x = window_.map.x.Taps(ox, box.x0, box.x1());
        for (int64_t ky = taps_y.lo; ky < taps_y.hi; ++ky) {
          for (int64_t kx = taps_x.lo; kx < taps_x.hi; ++kx) {
            const int64_t source = RowOf(x_boxes, x_box, window_.map.y.Input(oy, ky), window_.map.x.Input(ox, kx));
            ActiveKernels().add_scaled_row(y, d.row(source), scale, d.channels);
          }
        }
      }
      limit.Flush(y, d.channels);
    });
  }

 private:
  PoolWindow window_;
  std::vector<int64_t> depth_counts_;
  bool include_pad_;
};

}  // namespace

const OrtCustomOp* IncrementalAveragePoolOp() {
  static const Op<IncrementalAveragePool> op;
  return &op;
}

}  // namespace krypton
