// IncrementalActivation: DY = f(Z0 + DZ) - f(Z0) for the functions of math/functions.h (DESIGN section 2).
#include "kernels/table.h"
#include "op/op.h"
#include "ops/ops.h"
#include "ops/pointwise/call.h"

namespace krypton {
namespace {

struct IncrementalActivation : KernelBase<IncrementalActivation> {
  static constexpr const char* kName = "IncrementalActivation";
  using In = IncrementalActivationInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit IncrementalActivation(const Ort::ConstKernelInfo& info)
      : KernelBase(info), activation_(ReadActivation(info)) {}

  void Compute(Ort::KernelContext context) const {
    WriteRows(context, ReadDeltaOnBase<In>(context), DeltaLimit(context, In::limit),
              [&](const float* z, const float* d, float* y, int64_t channels) {
                ActiveKernels().activation_row(y, d, z, channels, activation_);
              });
  }

 private:
  Activation activation_;
};

}  // namespace

const OrtCustomOp* IncrementalActivationOp() {
  static const Op<IncrementalActivation> op;
  return &op;
}

}  // namespace krypton
