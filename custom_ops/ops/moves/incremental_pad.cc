// IncrementalPad: a constant Pad moves a delta and, with negative pads, crops it.
#include <algorithm>

#include "op/op.h"
#include "op/parallel.h"
#include "ops/moves/call.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct IncrementalPad : KernelBase<IncrementalPad> {
  static constexpr const char* kName = "IncrementalPad";
  using In = IncrementalPadInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit IncrementalPad(const Ort::ConstKernelInfo& info) : KernelBase(info), attributes_(ReadPadAttributes(info)) {}

  void Compute(Ort::KernelContext context) const {
    const PadCall call = ReadPadCall(context, attributes_);
    const Values& x = call.x;
    float* out = WriteValues(context, call.y_boxes.rows(), x.channels);
    ForEachPixel(context, call.y_boxes, [&](int64_t b, int64_t py, int64_t px, int64_t row) {
      const int64_t from = RowOf(call.x_boxes, b, py - attributes_.down, px - attributes_.right);
      if (from < 0) {
        std::fill_n(out + row * x.channels, x.channels, 0.0f);
      } else {
        std::copy_n(x.row(from), x.channels, out + row * x.channels);
      }
    });
  }

 private:
  PadAttributes attributes_;
};

}  // namespace

const OrtCustomOp* IncrementalPadOp() {
  static const Op<IncrementalPad> op;
  return &op;
}

}  // namespace krypton
