// RowValues: T' itself on each box, one row of channels a pixel, for functions of a pixel's channels that
// onnxruntime's own ops compute on rows:
//   T' = XB where `known` says that the pixel is that of the baseline picture, else X0 + DX, X0 beside the boxes of X
// With `of` = "values" the rows of X are T' already, on other boxes. `changed` tells the rows that are not X0's.
#include <algorithm>

#include "op/op.h"
#include "op/parallel.h"
#include "ops/boundary/call.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct RowValues : KernelBase<RowValues> {
  static constexpr const char* kName = "RowValues";
  using In = RowValuesInputs;
  static constexpr Slot kOutputs[] = {kFloat, kBool};

  explicit RowValues(const Ort::ConstKernelInfo& info) : KernelBase(info), of_values_(ReadOfValues(info)) {}

  void Compute(Ort::KernelContext context) const {
    const RowValuesCall call = ReadRowValuesCall(context);
    const int64_t channels = call.base.channels;
    float* out = WriteValues(context, call.y_boxes.rows(), channels);
    bool* changed = context.GetOutput(1, {call.y_boxes.rows()}).GetTensorMutableData<bool>();
    ForEachPixel(context, call.y_boxes, [&](int64_t b, int64_t y, int64_t x, int64_t row) {
      const float* base = call.base.pixel(b, y, x);
      float* to = out + row * channels;
      const bool known = call.known != nullptr && call.known[row];
      const int64_t from = known || call.x.data == nullptr ? -1 : RowOf(call.x_boxes, b, y, x);
      if (from >= 0 && !of_values_) {
        changed[row] = Move(to, base, call.x.row(from), channels);
        return;
      }
      const float* source = known ? call.baseline.pixel(b, y, x) : from >= 0 ? call.x.row(from) : base;
      std::copy(source, source + channels, to);
      changed[row] = source != base && !std::equal(source, source + channels, base);
    });
  }

 private:
  // to = base + d; whether a number of d is not zero.
  static bool Move(float* to, const float* base, const float* d, int64_t channels) {
    bool moved = false;
    for (int64_t c = 0; c < channels; ++c) {
      to[c] = base[c] + d[c];
      moved |= d[c] != 0.0f;
    }
    return moved;
  }

  bool of_values_;
};

}  // namespace

const OrtCustomOp* RowValuesOp() {
  static const Op<RowValues> op;
  return &op;
}

}  // namespace krypton
