// WindowBoxes: the box rule of Conv, MaxPool and AveragePool (geometry.window_boxes).
#include "common/window.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct WindowBoxes : KernelBase<WindowBoxes> {
  static constexpr const char* kName = "WindowBoxes";
  static constexpr Slot kInputs[] = {kInt32}, kOutputs[] = {kInt32};

  explicit WindowBoxes(const Ort::ConstKernelInfo& info) : KernelBase(info), window_(ReadWindow(info)) {}

  void Compute(Ort::KernelContext context) const {
    const BoxList boxes = ReadBoxes(context, 0, "boxes", window_.input());
    Box* out = WriteBoxes(context, 0, boxes.count);
    for (int64_t b = 0; b < boxes.count; ++b) {
      const Box& box = boxes[b];
      out[b] = {0, 0, 0, 0};
      if (box.empty()) continue;
      const Range y = window_.y.Outputs(box.y0, box.y1()), x = window_.x.Outputs(box.x0, box.x1());
      if (y.lo >= y.hi || x.lo >= x.hi) continue;
      out[b] = {static_cast<int32_t>(y.lo), static_cast<int32_t>(x.lo), static_cast<int32_t>(y.hi - y.lo),
                static_cast<int32_t>(x.hi - x.lo)};
    }
  }

 private:
  Window window_;
};

}  // namespace

const OrtCustomOp* WindowBoxesOp() {
  static const Op<WindowBoxes> op;
  return &op;
}

}  // namespace krypton
