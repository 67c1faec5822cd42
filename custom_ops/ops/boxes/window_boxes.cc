// WindowBoxes: the box rule of Conv, MaxPool and AveragePool (geometry.window_boxes), and the propagation threshold
// tau, which cuts what has grown too large (geometry.crop_boxes).
#include <algorithm>
#include <cmath>
#include <string>

#include "op/op.h"
#include "op/thresholds.h"
#include "ops/boxes/call.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct WindowBoxes : KernelBase<WindowBoxes> {
  static constexpr const char* kName = "WindowBoxes";
  using In = WindowBoxesInputs;
  static constexpr Slot kOutputs[] = {kInt32};

  explicit WindowBoxes(const Ort::ConstKernelInfo& info)
      : KernelBase(info), window_(ReadWindow(info)), group_(AttributeOr<int64_t>(info, "layer_group", 0)) {}

  void Compute(Ort::KernelContext context) const {
    const BoxList boxes = ReadBoxes(context, In::boxes, window_.input());
    double tau = 1;
    if (IsGiven(context, In::tau)) {
      tau = ReadThreshold(context, In::tau, group_);
      if (!(tau > 0 && tau <= 1)) Fail("tau: expected more than 0 and at most 1 (exact), found " + std::to_string(tau));
    }
    Box* out = WriteBoxes(context, boxes.count);
    for (int64_t b = 0; b < boxes.count; ++b) {
      const Box& box = boxes[b];
      out[b] = {0, 0, 0, 0};
      if (box.empty()) continue;
      const Range y = Crop(window_.y.Outputs(box.y0, box.y1()), window_.y.out, tau);
      const Range x = Crop(window_.x.Outputs(box.x0, box.x1()), window_.x.out, tau);
      if (y.lo >= y.hi || x.lo >= x.hi) continue;
      out[b] = {static_cast<int32_t>(y.lo), static_cast<int32_t>(x.lo), static_cast<int32_t>(y.hi - y.lo),
                static_cast<int32_t>(x.hi - x.lo)};
    }
  }

 private:
  static Range Crop(Range range, int64_t size, double tau) {
    const int64_t limit = std::max<int64_t>(1, static_cast<int64_t>(std::floor(tau * static_cast<double>(size) + 0.5)));
    const int64_t width = range.hi - range.lo;
    if (width <= limit) return range;
    const int64_t lo = range.lo + (width - limit) / 2;
    return {lo, lo + limit};
  }

  Window window_;
  int64_t group_;
};

}  // namespace

const OrtCustomOp* WindowBoxesOp() {
  static const Op<WindowBoxes> op;
  return &op;
}

}  // namespace krypton
