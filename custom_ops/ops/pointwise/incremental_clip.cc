// IncrementalClip: Relu and Clip by branch (DESIGN section 2). With c = clip(Z0):
//   DY = min(max(DZ + (Z0 - c), lo - c), hi - c),   exactly DZ or 0 where Z0 and Z0 + DZ share a piece,
// and DZ = DX, or scale * DX: the BatchNormalization in front of a Relu, without a pass over memory of its own.
#include "kernels/table.h"
#include "op/op.h"
#include "ops/ops.h"
#include "ops/pointwise/call.h"

namespace krypton {
namespace {

struct IncrementalClip : KernelBase<IncrementalClip> {
  static constexpr const char* kName = "IncrementalClip";
  using In = IncrementalClipInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit IncrementalClip(const Ort::ConstKernelInfo& info) : KernelBase(info), bounds_(ReadBounds(info)) {}

  void Compute(Ort::KernelContext context) const {
    const DeltaOnBase input = ReadDeltaOnBase<In>(context);
    const float* scale = ReadClipScale(context, input.d.channels);
    const Kernels& kernels = ActiveKernels();
    const int64_t start = 0;
    WriteRows(context, input, DeltaLimit(context, In::limit),
              [&](const float* z, const float* d, float* y, int64_t channels) {
                kernels.gather({d, 1, channels, y, &start, scale, z, 0, bounds_.lo, bounds_.hi});
              });
  }

 private:
  Bounds bounds_;
};

}  // namespace

const OrtCustomOp* IncrementalClipOp() {
  static const Op<IncrementalClip> op;
  return &op;
}

}  // namespace krypton
