// UnionBoxes: the hull of several boxes per position (geometry.union_boxes).
#include "op/op.h"
#include "ops/boxes/call.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct UnionBoxes : KernelBase<UnionBoxes> {
  static constexpr const char* kName = "UnionBoxes";
  using In = UnionBoxesInputs;
  static constexpr Slot kOutputs[] = {kInt32};

  explicit UnionBoxes(const Ort::ConstKernelInfo& info) : KernelBase(info) {}

  void Compute(Ort::KernelContext context) const {
    const BoxList first = ReadBoxes(context, In::boxes);
    std::vector<Box> hull(first.data, first.data + first.count);
    for (size_t i = 1; i < context.GetInputCount(); ++i) {
      const BoxList next = ReadBoxes(context, In::boxes[i]);
      CheckSameCount(first, next, "boxes[0]", "another input");
      for (int64_t b = 0; b < next.count; ++b) hull[b] = Hull(hull[b], next[b]);
    }
    Box* out = WriteBoxes(context, first.count);
    for (int64_t b = 0; b < first.count; ++b) out[b] = hull[b].empty() ? Box{0, 0, 0, 0} : hull[b];
  }
};

}  // namespace

const OrtCustomOp* UnionBoxesOp() {
  static const Op<UnionBoxes> op;
  return &op;
}

}  // namespace krypton
