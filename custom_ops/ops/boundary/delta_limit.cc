// DeltaLimit: eps * max |T0|, below which the delta of T counts as zero. It runs once an image.
#include <cstring>

#include "op/op.h"
#include "ops/boundary/call.h"
#include "ops/boundary/largest.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct DeltaLimitKernel : KernelBase<DeltaLimitKernel> {
  static constexpr const char* kName = "DeltaLimit";
  using In = DeltaLimitInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit DeltaLimitKernel(const Ort::ConstKernelInfo& info) : KernelBase(info), group_(ReadLayerGroup(info)) {}

  void Compute(Ort::KernelContext context) const {
    const DeltaLimitCall call = ReadDeltaLimitCall(context, group_);
    float* limit = context.GetOutput(0, {1}).GetTensorMutableData<float>();
    *limit = call.eps == 0 ? 0.0f : call.eps * Largest(context, call);
  }

 private:
  static float Largest(const Ort::KernelContext& context, const DeltaLimitCall& call) {
    const int32_t bits = LargestBits(context, call.data, call.count);
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
