// OcclusionDelta: the input's delta, d = new - image inside each box, 0 where a mask says so; new is
// the baseline's pixel, or the position's own row of `patches`. Of volumes, one box a slice (SliceBoxes).
#include "common/boxes.h"
#include "common/op.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct OcclusionDelta : KernelBase<OcclusionDelta> {
  static constexpr const char* kName = "OcclusionDelta";
  static constexpr Slot kInputs[] = {kFloat, kFloat, kFloat, kBool, kInt32, kInt64}, kOutputs[] = {kFloat};

  explicit OcclusionDelta(const Ort::ConstKernelInfo& info) : KernelBase(info) {}

  void Compute(Ort::KernelContext context) const {
    const BaseMap image = ReadBaseMap(context, 0, "image"), baseline = ReadBaseMap(context, 1, "baseline");
    CheckMap(baseline, "baseline", {image.h, image.w}, image.channels, image.depth);
    const Values patches = ReadValues(context, 2, "patches");
    const Ort::ConstValue mask_value = context.GetInput(3);
    const std::vector<int64_t> mask_shape = mask_value.GetTensorTypeAndShapeInfo().GetShape();
    if (mask_shape.size() != 1) Fail("mask: expected rank 1, found shape " + ShapeText(mask_shape));
    const int64_t mask_rows = mask_shape[0];
    const bool* mask = mask_value.GetTensorData<bool>();
    const BoxList boxes = ReadBoxes(context, 4, "boxes", {image.h, image.w});
    CheckSlices(boxes, "boxes", image.depth);
    const Ort::ConstValue offsets_value = context.GetInput(5);
    const int64_t* offsets = offsets_value.GetTensorData<int64_t>();
    if (offsets_value.GetTensorTypeAndShapeInfo().GetShape() != std::vector<int64_t>{boxes.count}) {
      Fail("offsets: expected one for each box");
    }
    if (patches.rows > 0 && patches.channels != image.channels) Fail("patches: expected the image's channels");
    for (int64_t b = 0; b < boxes.count; ++b) {
      const int64_t area = boxes[b].area();
      const auto fits = [&](int64_t rows) { return rows == 0 || (offsets[b] >= 0 && offsets[b] <= rows - area); };
      if (area > 0 && !(fits(patches.rows) && fits(mask_rows))) Fail("offsets: outside patches or mask");
    }

    const int64_t channels = image.channels;
    float* out = WriteValues(context, 0, boxes.rows(), channels);
    for (int64_t b = 0; b < boxes.count; ++b) {
      const Box& box = boxes[b];
      float* d = out + boxes.offsets[b] * channels;
      int64_t row = offsets[b];
      for (int64_t y = box.y0; y < box.y1(); ++y) {
        for (int64_t x = box.x0; x < box.x1(); ++x, ++row, d += channels) {
          const bool replaced = mask_rows == 0 || mask[row];
          const float* pixel = patches.rows > 0 ? patches.row(row) : baseline.pixel(b, y, x);
          const float* old = image.pixel(b, y, x);
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
