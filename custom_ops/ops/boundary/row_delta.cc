// RowDelta: back from T' on the boxes to its delta, V - Y0; exactly 0 in rows that have not changed, whatever
// onnxruntime's own ops round differently on fewer rows.
#include <algorithm>

#include "op/op.h"
#include "op/parallel.h"
#include "ops/boundary/call.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct RowDelta : KernelBase<RowDelta> {
  static constexpr const char* kName = "RowDelta";
  using In = RowDeltaInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit RowDelta(const Ort::ConstKernelInfo& info) : KernelBase(info) {}

  void Compute(Ort::KernelContext context) const {
    const RowDeltaCall call = ReadRowDeltaCall(context);
    const DeltaLimit limit(context, In::limit);
    const int64_t channels = call.rows.d.channels;
    float* out = WriteValues(context, call.rows.d.rows, channels);
    ForEachPixel(context, call.rows.boxes, [&](int64_t b, int64_t y, int64_t x, int64_t row) {
      const float *base = call.rows.base.pixel(b, y, x), *v = call.rows.d.row(row);
      float* to = out + row * channels;
      if (!call.changed[row]) {
        std::fill(to, to + channels, 0.0f);
        return;
      }
      for (int64_t c = 0; c < channels; ++c) to[c] = v[c] - base[c];
      limit.Flush(to, channels);
    });
  }
};

}  // namespace

const OrtCustomOp* RowDeltaOp() {
  static const Op<RowDelta> op;
  return &op;
}

}  // namespace krypton
