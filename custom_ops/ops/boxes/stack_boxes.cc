// StackBoxes: the boxes of several tensors of the same positions, one list after another.
#include <algorithm>

#include "op/op.h"
#include "ops/boxes/call.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct StackBoxes : KernelBase<StackBoxes> {
  static constexpr const char* kName = "StackBoxes";
  using In = StackBoxesInputs;
  static constexpr Slot kOutputs[] = {kInt32};

  explicit StackBoxes(const Ort::ConstKernelInfo& info) : KernelBase(info) {}

  void Compute(Ort::KernelContext context) const {
    std::vector<BoxList> lists;
    for (size_t i = 0; i < context.GetInputCount(); ++i) {
      lists.push_back(ReadBoxes(context, In::boxes[i]));
      CheckSameCount(lists[0], lists[i], "boxes[0]", "another input");
    }
    Box* out = WriteBoxes(context, static_cast<int64_t>(lists.size()) * lists[0].count);
    for (const BoxList& list : lists) out = std::copy_n(list.data, list.count, out);
  }
};

}  // namespace

const OrtCustomOp* StackBoxesOp() {
  static const Op<StackBoxes> op;
  return &op;
}

}  // namespace krypton
