// OcclusionDelta: the input's delta, d = new - image inside each box, 0 where a mask says so; new is
// the baseline's pixel, or the position's own row of `patches`. Of volumes, one box a slice (SliceBoxes).
#include "op/op.h"
#include "ops/boundary/call.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct OcclusionDelta : KernelBase<OcclusionDelta> {
  static constexpr const char* kName = "OcclusionDelta";
  using In = OcclusionDeltaInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit OcclusionDelta(const Ort::ConstKernelInfo& info) : KernelBase(info) {}

  void Compute(Ort::KernelContext context) const {
    const OcclusionCall call = ReadOcclusionCall(context);
    const int64_t channels = call.image.channels;
    float* out = WriteValues(context, call.boxes.rows(), channels);
    for (int64_t b = 0; b < call.boxes.count; ++b) {
      const Box& box = call.boxes[b];
      float* d = out + call.boxes.offsets[b] * channels;
      int64_t row = call.offsets[b];
      for (int64_t y = box.y0; y < box.y1(); ++y) {
        for (int64_t x = box.x0; x < box.x1(); ++x, ++row, d += channels) {
          const bool replaced = call.mask_rows == 0 || call.mask[row];
          const float* pixel = call.patches.rows > 0 ? call.patches.row(row) : call.baseline.pixel(b, y, x);
          const float* old = call.image.pixel(b, y, x);
          for (int64_t c = 0; c < channels; ++c) d[c] = replaced ? pixel[c] - old[c] : 0.0f;
        }
      }
    }
  }
};

}  // namespace

const OrtCustomOp* OcclusionDeltaOp() {
  static const Op<OcclusionDelta> op;
  return &op;
}

}  // namespace krypton
