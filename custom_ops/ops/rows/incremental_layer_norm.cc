// IncrementalLayerNorm: DY = s * (n(Z0 + DZ) - n(Z0)) on each pixel's row of channels, where
//   n(x) = (x - mean x) / sqrt(var x + epsilon);   a bias would cancel.
#include "op/op.h"
#include "ops/ops.h"
#include "ops/rows/call.h"

namespace krypton {
namespace {

struct IncrementalLayerNorm : KernelBase<IncrementalLayerNorm> {
  static constexpr const char* kName = "IncrementalLayerNorm";
  using In = IncrementalLayerNormInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit IncrementalLayerNorm(const Ort::ConstKernelInfo& info) : KernelBase(info), epsilon_(ReadEpsilon(info)) {}

  void Compute(Ort::KernelContext context) const {
    const LayerNormCall call = ReadLayerNormCall(context);
    WriteRows(context, call.on_base, DeltaLimit(context, In::limit),
              [&](const float* z, const float* d, float* y, int64_t channels) {
                LayerNormRow(OneLane{}, z, d, call.scale, y, channels, epsilon_);
              });
  }

 private:
  float epsilon_;
};

}  // namespace

const OrtCustomOp* IncrementalLayerNormOp() {
  static const Op<IncrementalLayerNorm> op;
  return &op;
}

}  // namespace krypton
