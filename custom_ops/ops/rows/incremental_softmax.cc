// IncrementalSoftmax: softmax(Z0 + DZ) - softmax(Z0) on each pixel's row of channels, or of its logarithm.
#include "math/row_functions.h"
#include "op/pointwise.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct IncrementalSoftmax : KernelBase<IncrementalSoftmax> {
  static constexpr const char* kName = "IncrementalSoftmax";
  static constexpr Slot kInputs[] = {kFloat, kInt32, kFloat, kFloatOptional}, kOutputs[] = {kFloat};

  explicit IncrementalSoftmax(const Ort::ConstKernelInfo& info)
      : KernelBase(info), logarithm_(AttributeOr<int64_t>(info, "logarithm", 0) != 0) {}

  void Compute(Ort::KernelContext context) const {
    const Pointwise input = ReadPointwise(context);
    if (input.d.channels == 0) Fail("X: expected channels");
    WriteRows(context, input, DeltaLimit(context, 3), [&](const float* z, const float* d, float* y, int64_t channels) {
      SoftmaxRow(OneLane{}, z, d, y, channels, logarithm_);
    });
  }

 private:
  bool logarithm_;
};

}  // namespace

const OrtCustomOp* IncrementalSoftmaxOp() {
  static const Op<IncrementalSoftmax> op;
  return &op;
}

}  // namespace krypton
