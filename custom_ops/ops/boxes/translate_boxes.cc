// TranslateBoxes: the box rule of a constant Pad (geometry.translate_boxes).
#include <algorithm>

#include "op/op.h"
#include "ops/boxes/call.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct TranslateBoxes : KernelBase<TranslateBoxes> {
  static constexpr const char* kName = "TranslateBoxes";
  using In = TranslateBoxesInputs;
  static constexpr Slot kOutputs[] = {kInt32};

  explicit TranslateBoxes(const Ort::ConstKernelInfo& info)
      : KernelBase(info), shift_(ReadShift(info)), shape_(ReadSize(info, "output_shape")) {}

  void Compute(Ort::KernelContext context) const {
    const BoxList boxes = ReadBoxes(context, In::boxes);
    Box* out = WriteBoxes(context, boxes.count);
    for (int64_t b = 0; b < boxes.count; ++b) {
      const Box& box = boxes[b];
      const int64_t y0 = Clip(box.y0 + shift_[0], 0), y1 = Clip(box.y1() + shift_[0], 0);
      const int64_t x0 = Clip(box.x0 + shift_[1], 1), x1 = Clip(box.x1() + shift_[1], 1);
      out[b] = {0, 0, 0, 0};
      if (box.empty() || y0 >= y1 || x0 >= x1) continue;
      out[b] = {static_cast<int32_t>(y0), static_cast<int32_t>(x0), static_cast<int32_t>(y1 - y0),
                static_cast<int32_t>(x1 - x0)};
    }
  }

 private:
  int64_t Clip(int64_t v, int axis) const { return std::clamp<int64_t>(v, 0, shape_[axis]); }

  std::vector<int64_t> shift_, shape_;
};

}  // namespace

const OrtCustomOp* TranslateBoxesOp() {
  static const Op<TranslateBoxes> op;
  return &op;
}

}  // namespace krypton
