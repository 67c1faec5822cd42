// IncrementalLayerNorm: DY = s * (n(Z0 + DZ) - n(Z0)) on each pixel's row of channels, where
//   n(x) = (x - mean x) / sqrt(var x + epsilon);   a bias would cancel.
#include "math/row_functions.h"
#include "op/pointwise.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct IncrementalLayerNorm : KernelBase<IncrementalLayerNorm> {
  static constexpr const char* kName = "IncrementalLayerNorm";
  static constexpr Slot kInputs[] = {kFloat, kInt32, kFloat, kFloat, kFloatOptional}, kOutputs[] = {kFloat};

  explicit IncrementalLayerNorm(const Ort::ConstKernelInfo& info)
      : KernelBase(info), epsilon_(AttributeOr<float>(info, "epsilon", 1e-5f)) {}

  void Compute(Ort::KernelContext context) const {
    const Pointwise input = ReadPointwise(context);
    const float* scale = ReadPerChannel(context, 3, "scale", input.d.channels);
    WriteRows(context, input, DeltaLimit(context, 4), [&](const float* z, const float* d, float* y, int64_t channels) {
      LayerNormRow(OneLane{}, z, d, scale, y, channels, epsilon_);
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
