// DeltaLimit: eps * max |T0|, below which the delta of T counts as zero. It runs once an image.
#include <cstring>

#include "math/largest.h"
#include "op/inputs.h"
#include "op/op.h"
#include "op/thresholds.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct DeltaLimitKernel : KernelBase<DeltaLimitKernel> {
  static constexpr const char* kName = "DeltaLimit";
  static constexpr Slot kInputs[] = {kFloat, kFloat}, kOutputs[] = {kFloat};

  explicit DeltaLimitKernel(const Ort::ConstKernelInfo& info)
      : KernelBase(info), group_(AttributeOr<int64_t>(info, "layer_group", 0)) {}

  void Compute(Ort::KernelContext context) const {
    const float eps = ReadEps(context, 1, group_);
    float* limit = context.GetOutput(0, {1}).GetTensorMutableData<float>();
    *limit = eps == 0 ? 0.0f : eps * Largest(context);
  }

 private:
  static float Largest(const Ort::KernelContext& context) {
    const Ort::ConstValue tensor = context.GetInput(0);
    const auto count = static_cast<int64_t>(tensor.GetTensorTypeAndShapeInfo().GetElementCount());
    const int32_t bits = LargestBits(context, tensor.GetTensorData<float>(), count);
    float largest;
    std::memcpy(&largest, &bits, sizeof largest);
    return largest;
  }

  int64_t group_;
};

}  // namespace

const OrtCustomOp* DeltaLimitOp() {
  static const Op<DeltaLimitKernel> op;
  return &op;
}

}  // namespace krypton
