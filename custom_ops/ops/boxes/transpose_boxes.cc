// TransposeBoxes: the boxes of a map whose rows and columns change places.
#include "op/op.h"
#include "ops/boxes/call.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct TransposeBoxes : KernelBase<TransposeBoxes> {
  static constexpr const char* kName = "TransposeBoxes";
  using In = TransposeBoxesInputs;
  static constexpr Slot kOutputs[] = {kInt32};

  explicit TransposeBoxes(const Ort::ConstKernelInfo& info) : KernelBase(info) {}

  void Compute(Ort::KernelContext context) const {
    const BoxList boxes = ReadBoxes(context, In::boxes);
    Box* out = WriteBoxes(context, boxes.count);
    for (int64_t b = 0; b < boxes.count; ++b) {
      out[b] = {boxes[b].x0, boxes[b].y0, boxes[b].w, boxes[b].h};
    }
  }
};

}  // namespace

const OrtCustomOp* TransposeBoxesOp() {
  static const Op<TransposeBoxes> op;
  return &op;
}

}  // namespace krypton
