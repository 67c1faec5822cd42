// OcclusionChunks: checks everything that a caller of the compiled model gives, and cuts the boxes
// into chunks for the Scan, padded with empty boxes (Scan cannot run zero times).
#include <algorithm>
#include <cmath>
#include <string>

#include "common/boxes.h"
#include "common/op.h"
#include "ops/ops.h"

namespace krypton {
namespace {

int64_t Count(const Ort::ConstValue& value) { return value.GetTensorTypeAndShapeInfo().GetElementCount(); }

struct OcclusionChunks : KernelBase<OcclusionChunks> {
  static constexpr const char* kName = "OcclusionChunks";
  static constexpr Slot kInputs[] = {kInt32, kFloat, kBool, kFloat, kFloat}, kOutputs[] = {kInt32, kInt64};

  explicit OcclusionChunks(const Ort::ConstKernelInfo& info)
      : KernelBase(info),
        image_(AttributeList<int64_t>(info, "image_shape", 2)),
        channels_(info.GetAttribute<int64_t>("channels")),
        chunk_(info.GetAttribute<int64_t>("chunk")) {
    if (chunk_ < 1) Fail("attribute chunk: expected at least 1");
  }

  void Compute(Ort::KernelContext context) const {
    const BoxList boxes = ReadBoxes(context, 0, "boxes", {image_[0], image_[1]});
    const int64_t rows = boxes.rows();
    CheckPatches(context.GetInput(1), rows);
    const std::vector<int64_t> mask = context.GetInput(2).GetTensorTypeAndShapeInfo().GetShape();
    if (mask.size() != 1 || (mask[0] != 0 && mask[0] != rows)) {
      Fail("mask: expected [0] or [" + std::to_string(rows) + "], a value for each pixel of the boxes; found " +
           ShapeText(mask));
    }
    CheckThreshold(context.GetInput(3), "krypton_tau", 1.0f);
    CheckThreshold(context.GetInput(4), "krypton_eps", 0.0f);

    const int64_t chunks = std::max<int64_t>(1, (boxes.count + chunk_ - 1) / chunk_), padded = chunks * chunk_;
    Box* out = reinterpret_cast<Box*>(context.GetOutput(0, {chunks, chunk_, 4}).GetTensorMutableData<int32_t>());
    int64_t* offsets = context.GetOutput(1, {chunks, chunk_}).GetTensorMutableData<int64_t>();
    for (int64_t b = 0; b < padded; ++b) {
      const bool present = b < boxes.count && !boxes[b].empty();
      out[b] = present ? boxes[b] : Box{0, 0, 0, 0};
      offsets[b] = b < boxes.count ? boxes.offsets[b] : rows;
    }
  }

 private:
  void CheckPatches(const Ort::ConstValue& patches, int64_t rows) const {
    const std::vector<int64_t> shape = patches.GetTensorTypeAndShapeInfo().GetShape();
    if (shape.size() != 2 || (shape[0] != 0 && (shape[0] != rows || shape[1] != channels_))) {
      Fail("patches: expected [0,*] or " + ShapeText({rows, channels_}) +
           ", a row for each pixel of the boxes; found " + ShapeText(shape));
    }
    const float* data = patches.GetTensorData<float>();
    for (int64_t i = 0; i < Count(patches); ++i) {
      if (!std::isfinite(data[i])) Fail("patches: holds a NaN or an infinity in row " + std::to_string(i / channels_));
    }
  }

  static void CheckThreshold(const Ort::ConstValue& value, const char* name, float only) {
    const std::vector<int64_t> shape = value.GetTensorTypeAndShapeInfo().GetShape();
    if (shape.size() != 1) Fail(std::string(name) + ": expected one value a layer group, found " + ShapeText(shape));
    const float* data = value.GetTensorData<float>();
    for (int64_t i = 0; i < Count(value); ++i) {
      if (!(data[i] == only)) {
        Fail(std::string(name) + ": " + std::to_string(data[i]) + " is not supported by this version; leave it at " +
             std::to_string(only) + " (exact inference)");
      }
    }
  }

  std::vector<int64_t> image_;
  int64_t channels_, chunk_;
};

}  // namespace

const OrtCustomOp* OcclusionChunksOp() {
  static const Op<OcclusionChunks> op;
  return &op;
}

}  // namespace krypton
