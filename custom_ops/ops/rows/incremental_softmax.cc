// IncrementalSoftmax: softmax(Z0 + DZ) - softmax(Z0) on each pixel's row of channels, or of its logarithm.
#include "op/op.h"
#include "ops/ops.h"
#include "ops/rows/call.h"

namespace krypton {
namespace {

struct IncrementalSoftmax : KernelBase<IncrementalSoftmax> {
  static constexpr const char* kName = "IncrementalSoftmax";
  using In = IncrementalSoftmaxInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit IncrementalSoftmax(const Ort::ConstKernelInfo& info) : KernelBase(info), logarithm_(ReadLogarithm(info)) {}

  void Compute(Ort::KernelContext context) const {
    WriteRows(context, ReadSoftmaxCall(context), DeltaLimit(context, In::limit),
              [&](const float* z, const float* d, float* y, int64_t channels) {
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
