// IncrementalTranspose: rows and columns of a map change places.
#include <algorithm>

#include "op/op.h"
#include "op/parallel.h"
#include "ops/moves/call.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct IncrementalTranspose : KernelBase<IncrementalTranspose> {
  static constexpr const char* kName = "IncrementalTranspose";
  using In = IncrementalTransposeInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit IncrementalTranspose(const Ort::ConstKernelInfo& info) : KernelBase(info), shape_(ReadInputShape(info)) {}

  void Compute(Ort::KernelContext context) const {
    const PadCall call = ReadTransposeCall(context, shape_);
    const Values& x = call.x;
    float* out = WriteValues(context, call.y_boxes.rows(), x.channels);
    ForEachPixel(context, call.y_boxes, [&](int64_t b, int64_t py, int64_t px, int64_t row) {
      const int64_t from = RowOf(call.x_boxes, b, px, py);
      if (from < 0) {
        std::fill_n(out + row * x.channels, x.channels, 0.0f);
      } else {
        std::copy_n(x.row(from), x.channels, out + row * x.channels);
      }
    });
  }

 private:
  MapShape shape_;
};

}  // namespace

const OrtCustomOp* IncrementalTransposeOp() {
  static const Op<IncrementalTranspose> op;
  return &op;
}

}  // namespace krypton
