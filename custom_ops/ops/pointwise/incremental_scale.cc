// IncrementalScale: DY = DX * scale[c], what a BatchNormalization or a constant Mul does to a delta.
#include "kernels/table.h"
#include "op/op.h"
#include "ops/ops.h"
#include "ops/pointwise/call.h"

namespace krypton {
namespace {

struct IncrementalScale : KernelBase<IncrementalScale> {
  static constexpr const char* kName = "IncrementalScale";
  using In = IncrementalScaleInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit IncrementalScale(const Ort::ConstKernelInfo& info) : KernelBase(info) {}

  void Compute(Ort::KernelContext context) const {
    const ScaleCall call = ReadScaleCall(context);
    const Values& x = call.x;
    const DeltaLimit limit(context, In::limit);
    float* out = WriteValues(context, x.rows, x.channels);
    ParallelRanges(context, x.rows, 256, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        ActiveKernels().multiply_row(out + r * x.channels, x.row(r), call.scale, x.channels);
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
