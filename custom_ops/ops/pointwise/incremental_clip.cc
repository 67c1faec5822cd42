// IncrementalClip: Relu and Clip by branch (DESIGN section 2). With c = clip(Z0):
//   DY = min(max(DZ + (Z0 - c), lo - c), hi - c),   exactly DZ or 0 where Z0 and Z0 + DZ share a piece.
#include <limits>

#include "kernels/table.h"
#include "op/pointwise.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct IncrementalClip : KernelBase<IncrementalClip> {
  static constexpr const char* kName = "IncrementalClip";
  static constexpr Slot kInputs[] = {kFloat, kInt32, kFloat, kFloatOptional}, kOutputs[] = {kFloat};

  explicit IncrementalClip(const Ort::ConstKernelInfo& info)
      : KernelBase(info),
        lo_(AttributeOr<float>(info, "min", 0.0f)),
        hi_(AttributeOr<float>(info, "max", std::numeric_limits<float>::infinity())) {}

  void Compute(Ort::KernelContext context) const {
    WriteRows(context, ReadPointwise(context), DeltaLimit(context, 3),
              [&](const float* z, const float* d, float* y, int64_t channels) {
                ActiveKernels().clip_row(y, d, z, channels, lo_, hi_);
              });
  }

 private:
  float lo_, hi_;
};

}  // namespace

const OrtCustomOp* IncrementalClipOp() {
  static const Op<IncrementalClip> op;
  return &op;
}

}  // namespace krypton
