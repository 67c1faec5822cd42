// IncrementalScale: DY = DX * scale[c], what a BatchNormalization or a constant Mul does to a delta.
#include "op/inputs.h"
#include "op/op.h"
#include "op/thresholds.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct IncrementalScale : KernelBase<IncrementalScale> {
  static constexpr const char* kName = "IncrementalScale";
  static constexpr Slot kInputs[] = {kFloat, kFloat, kFloatOptional}, kOutputs[] = {kFloat};

  explicit IncrementalScale(const Ort::ConstKernelInfo& info) : KernelBase(info) {}

  void Compute(Ort::KernelContext context) const {
    const Values x = ReadValues(context, 0, "X");
    const float* scale = ReadPerChannel(context, 1, "scale", x.channels);
    const DeltaLimit limit(context, 2);
    float* out = WriteValues(context, 0, x.rows, x.channels);
    ParallelRanges(context, x.rows, 256, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        for (int64_t c = 0; c < x.channels; ++c) out[r * x.channels + c] = x.row(r)[c] * scale[c];
      }
      limit.Flush(out + begin * x.channels, (end - begin) * x.channels);
    });
  }
};

}  // namespace

const OrtCustomOp* IncrementalScaleOp() {
  static const Op<IncrementalScale> op;
  return &op;
}

}  // namespace krypton
