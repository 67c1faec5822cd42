// IncrementalLRN: DY = lrn(Z0 + DZ) - lrn(Z0) on each pixel's row of channels.
#include "op/op.h"
#include "ops/ops.h"
#include "ops/rows/call.h"

namespace krypton {
namespace {

struct IncrementalLRN : KernelBase<IncrementalLRN> {
  static constexpr const char* kName = "IncrementalLRN";
  using In = IncrementalLRNInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit IncrementalLRN(const Ort::ConstKernelInfo& info) : KernelBase(info), parameters_(ReadLrn(info)) {}

  void Compute(Ort::KernelContext context) const {
    WriteRows(context, ReadDeltaOnBase<In>(context), DeltaLimit(context, In::limit),
              [&](const float* z, const float* d, float* y, int64_t channels) {
                LrnRow(OneLane{}, z, d, y, channels, parameters_);
              });
  }

 private:
  LrnParameters parameters_;
};

}  // namespace

const OrtCustomOp* IncrementalLRNOp() {
  static const Op<IncrementalLRN> op;
  return &op;
}

}  // namespace krypton
