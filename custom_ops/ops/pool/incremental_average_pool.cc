// IncrementalAveragePool: DY = sum of DX over the taps / n, n the count of the *absolute* output
// window: taps inside the map, or with count_include_pad inside the map and its pads. Of volumes the window has a
// depth.
#include <algorithm>
#include <vector>

#include "geometry/pixels.h"
#include "geometry/window.h"
#include "kernels/table.h"
#include "op/thresholds.h"
#include "ops/conv/call.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct IncrementalAveragePool : KernelBase<IncrementalAveragePool> {
  static constexpr const char* kName = "IncrementalAveragePool";
  static constexpr Slot kInputs[] = {kFloat, kInt32, kInt32, kFloatOptional}, kOutputs[] = {kFloat};

  explicit IncrementalAveragePool(const Ort::ConstKernelInfo& info)
      : KernelBase(info),
        window_(ReadWindow(info)),
        depth_(ReadDepth(info)),
        include_pad_(AttributeOr<int64_t>(info, "count_include_pad", 0) != 0) {
    for (int64_t o = 0; o < depth_.axis.out; ++o) depth_counts_.push_back(depth_.axis.Count(o, include_pad_));
  }

  void Compute(Ort::KernelContext context) const {
    const PoolCall call = ReadPoolCall(context, window_, depth_);
    const BoxList &x_boxes = call.x_boxes, &y_boxes = call.y_boxes;
    const Values& d = call.d;
    const DeltaLimit limit(context, 3);
    float* out = WriteValues(context, 0, y_boxes.rows(), d.channels);
    ForEachPixel(context, y_boxes, [&](int64_t b, int64_t oy, int64_t ox, int64_t row) {
      float* y = out + row * d.channels;
      std::fill_n(y, d.channels, 0.0f);
      const int64_t position = depth_.Position(b), slice = depth_.Slice(b);
      const int64_t count =
          depth_counts_[slice] * window_.y.Count(oy, include_pad_) * window_.x.Count(ox, include_pad_);
      const float scale = 1.0f / static_cast<float>(count);
      for (int64_t kz = depth_.taps[slice].lo; kz < depth_.taps[slice].hi; ++kz) {
        const int64_t x_box = depth_.Source(position, slice, kz);
        const Box& box = x_boxes[x_box];
        if (box.empty()) continue;
        const Range taps_y = window_.y.Taps(oy, box.y0, box.y1()), taps_x = window_.x.Taps(ox, box.x0, box.x1());
        for (int64_t ky = taps_y.lo; ky < taps_y.hi; ++ky) {
          for (int64_t kx = taps_x.lo; kx < taps_x.hi; ++kx) {
            const int64_t source = RowOf(x_boxes, x_box, window_.y.Input(oy, ky), window_.x.Input(ox, kx));
            ActiveKernels().add_scaled_row(y, d.row(source), scale, d.channels);
          }
        }
      }
      limit.Flush(y, d.channels);
    });
  }

 private:
  Window window_;
  DepthWindow depth_;
  std::vector<int64_t> depth_counts_;
  bool include_pad_;
};

}  // namespace

const OrtCustomOp* IncrementalAveragePoolOp() {
  static const Op<IncrementalAveragePool> op;
  return &op;
}

}  // namespace krypton
