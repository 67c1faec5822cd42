// DepthBoxes: the box rule of a window along the slices of volumes (geometry.depth_boxes): the box of an output slice
// is the hull of those of the slices that it reads.
#include "op/op.h"
#include "ops/boxes/call.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct DepthBoxes : KernelBase<DepthBoxes> {
  static constexpr const char* kName = "DepthBoxes";
  using In = DepthBoxesInputs;
  static constexpr Slot kOutputs[] = {kInt32};

  explicit DepthBoxes(const Ort::ConstKernelInfo& info) : KernelBase(info), depth_(ReadDepth(info, true)) {}

  void Compute(Ort::KernelContext context) const {
    const BoxList boxes = ReadBoxes(context, In::boxes);
    CheckSlices(boxes, In::boxes, depth_.axis.in);
    const int64_t count = boxes.count / depth_.axis.in * depth_.axis.out;
    Box* out = WriteBoxes(context, count);
    for (int64_t b = 0; b < count; ++b) {
      const int64_t position = depth_.Position(b), slice = depth_.Slice(b);
      Box hull{0, 0, 0, 0};
      for (int64_t tap = depth_.taps[slice].lo; tap < depth_.taps[slice].hi; ++tap) {
        hull = Hull(hull, boxes[depth_.Source(position, slice, tap)]);
      }
      out[b] = hull.empty() ? Box{0, 0, 0, 0} : hull;
    }
  }

 private:
  DepthWindow depth_;
};

}  // namespace

const OrtCustomOp* DepthBoxesOp() {
  static const Op<DepthBoxes> op;
  return &op;
}

}  // namespace krypton
