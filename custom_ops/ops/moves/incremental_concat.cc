// IncrementalConcat: channels side by side, each input zero outside its own box.
// Inputs: y_boxes, the boxes of all parts one list after another, X1, X2, ...
#include <algorithm>

#include "op/op.h"
#include "op/parallel.h"
#include "ops/moves/call.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct IncrementalConcat : KernelBase<IncrementalConcat> {
  static constexpr const char* kName = "IncrementalConcat";
  using In = IncrementalConcatInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit IncrementalConcat(const Ort::ConstKernelInfo& info) : KernelBase(info) {}

  void Compute(Ort::KernelContext context) const {
    const ConcatCall call = ReadConcatCall(context);
    const int64_t channels = call.channels;
    float* out = WriteValues(context, call.y_boxes.rows(), channels);
    ForEachPixel(context, call.y_boxes, [&](int64_t b, int64_t py, int64_t px, int64_t row) {
      float* y = out + row * channels;
      for (size_t i = 0; i < call.values.size(); ++i) {
        const int64_t from = RowOf(call.boxes[i], b, py, px);
        if (from < 0) {
          std::fill_n(y, call.values[i].channels, 0.0f);
        } else {
          std::copy_n(call.values[i].row(from), call.values[i].channels, y);
        }
        y += call.values[i].channels;
      }
    });
  }
};

}  // namespace

const OrtCustomOp* IncrementalConcatOp() {
  static const Op<IncrementalConcat> op;
  return &op;
}

}  // namespace krypton
