// IncrementalClip: Relu and Clip by branch (DESIGN section 2). With c = clip(Z0):
//   DY = min(max(DZ + (Z0 - c), lo - c), hi - c),   exactly DZ or 0 where Z0 and Z0 + DZ share a piece.
#include <limits>

#include "common/pixels.h"
#include "common/thresholds.h"
#include "kernels/kernels.h"
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
    const BaseMap z = ReadBaseMap(context, 2, "Z0");
    const BoxList boxes = ReadBoxes(context, 1, "boxes", {z.h, z.w});
    const Values d = ReadValues(context, 0, "X", boxes);
    CheckMap(z, "Z0", {z.h, z.w}, d.channels);
    const DeltaLimit limit(context, 3);
    float* out = WriteValues(context, 0, d.rows, d.channels);
    ForEachPixel(context, boxes, [&](int64_t, int64_t y, int64_t x, int64_t row) {
      float* to = out + row * d.channels;
      ActiveKernels().clip_row(to, d.row(row), z.pixel(y, x), d.channels, lo_, hi_);
      limit.Flush(to, d.channels);
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
