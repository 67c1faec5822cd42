// OcclusionChunks: checks everything that a caller of the compiled model gives, and cuts the boxes
// into chunks for the Scan, padded with empty boxes (Scan cannot run zero times). Without a chunk size all of them are
// one chunk, of at least one box, and the outputs have no axis of chunks.
#include <algorithm>
#include <cmath>
#include <string>

#include "op/op.h"
#include "ops/boundary/call.h"
#include "ops/ops.h"

namespace krypton {
namespace {

int64_t Count(const Ort::ConstValue& value) { return value.GetTensorTypeAndShapeInfo().GetElementCount(); }

struct OcclusionChunks : KernelBase<OcclusionChunks> {
  static constexpr const char* kName = "OcclusionChunks";
  using In = OcclusionChunksInputs;
  static constexpr Slot kOutputs[] = {kInt32, kInt64};

  explicit OcclusionChunks(const Ort::ConstKernelInfo& info)
      : KernelBase(info),
        image_(ReadImageShape(info)),
        channels_(RequiredAttribute<int64_t>(info, "channels")),
        chunk_(AttributeOr<int64_t>(info, "chunk", 0)),
        groups_(AttributeOr<int64_t>(info, "layer_groups", 1)) {
    if (chunk_ < 0 || chunk_ > INT32_MAX) Fail("attribute chunk: expected from 1 to 2^31-1");
  }

  void Compute(Ort::KernelContext context) const {
    const RegionList boxes = ReadRegions(context, In::boxes, image_);
    const int64_t rows = boxes.offsets.back(), numbers = static_cast<int64_t>(2 * boxes.axes);
    CheckPatches(context.GetInput(In::patches.index), rows);
    const std::vector<int64_t> mask = context.GetInput(In::mask.index).GetTensorTypeAndShapeInfo().GetShape();
    if (mask.size() != 1 || (mask[0] != 0 && mask[0] != rows)) {
      Fail("mask: expected [0] or [" + std::to_string(rows) + "], a value for each pixel of the boxes; found " +
           ShapeText(mask));
    }
    CheckThresholds(context.GetInput(In::tau.index), "krypton_tau", "more than 0 and at most 1 (exact)",
                    [](float tau) { return tau > 0 && tau <= 1; });
    CheckThresholds(context.GetInput(In::eps.index), "krypton_eps", "0 (exact) or more",
                    [](float eps) { return eps >= 0 && std::isfinite(eps); });

    const int64_t chunk = chunk_ == 0 ? std::max<int64_t>(1, boxes.count) : chunk_;
    const int64_t chunks = std::max<int64_t>(1, (boxes.count + chunk - 1) / chunk), padded = chunks * chunk;
    std::vector<int64_t> shape = {chunk};
    if (chunk_ != 0) shape.insert(shape.begin(), chunks);
    int64_t* offsets = context.GetOutput(1, shape).GetTensorMutableData<int64_t>();
    shape.push_back(numbers);
    int32_t* out = context.GetOutput(0, shape).GetTensorMutableData<int32_t>();
    std::fill_n(out, padded * numbers, 0);
    for (int64_t b = 0; b < padded; ++b) {
      if (b < boxes.count && !boxes[b].empty()) std::copy_n(boxes[b].numbers, numbers, out + b * numbers);
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

  template <class Valid>
  void CheckThresholds(const Ort::ConstValue& value, const char* name, const char* expected, const Valid& valid) const {
    const std::vector<int64_t> shape = value.GetTensorTypeAndShapeInfo().GetShape();
    if (shape.size() != 1 || (shape[0] != 1 && shape[0] != groups_)) {
      Fail(std::string(name) + ": expected [1] or [" + std::to_string(groups_) + "], one a layer group; found " +
           ShapeText(shape));
    }
    const float* data = value.GetTensorData<float>();
    for (int64_t i = 0; i < shape[0]; ++i) {
      if (!valid(data[i])) Fail(std::string(name) + ": expected " + expected + ", found " + std::to_string(data[i]));
    }
  }

  std::vector<int64_t> image_;
  int64_t channels_, chunk_, groups_;
};

}  // namespace

const OrtCustomOp* OcclusionChunksOp() {
  static const Op<OcclusionChunks> op;
  return &op;
}

}  // namespace krypton
