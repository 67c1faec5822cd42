// IncrementalGlobalMaxPool: the largest entry of X0 + DX for each channel, less that of X0: over the box what the delta
// makes of it, beside the box the base map.
#include <algorithm>
#include <limits>
#include <vector>

#include "common/boxes.h"
#include "common/op.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct IncrementalGlobalMaxPool : KernelBase<IncrementalGlobalMaxPool> {
  static constexpr const char* kName = "IncrementalGlobalMaxPool";
  static constexpr Slot kInputs[] = {kFloat, kInt32, kFloat}, kOutputs[] = {kFloat};

  using KernelBase::KernelBase;

  void Compute(Ort::KernelContext context) const {
    const BaseMap x0 = ReadBaseMap(context, 2, "X0");
    const BoxList boxes = ReadBoxes(context, 1, "boxes", {x0.h, x0.w});
    const Values d = ReadValues(context, 0, "X", boxes);
    CheckMap(x0, "X0", {x0.h, x0.w}, d.channels);
    const int64_t channels = d.channels;
    const std::vector<float> base = Largest(x0, {0, 0, 0, 0}, nullptr);
    float* out = context.GetOutput(0, {boxes.count, channels}).GetTensorMutableData<float>();
    ParallelRanges(context, boxes.count, 1, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        const std::vector<float> moved = Largest(x0, boxes[b], d.row(boxes.offsets[b]));
        for (int64_t c = 0; c < channels; ++c) out[b * channels + c] = moved[c] - base[c];
      }
    });
  }

 private:
  // Of the base map, with `d` added on the box.
  static std::vector<float> Largest(const BaseMap& x0, const Box& box, const float* d) {
    std::vector<float> top(static_cast<size_t>(x0.channels), -std::numeric_limits<float>::infinity());
    for (int64_t y = 0; y < x0.h; ++y) {
      for (int64_t x = 0; x < x0.w; ++x) {
        const float* base = x0.pixel(y, x);
        if (y >= box.y0 && y < box.y1() && x >= box.x0 && x < box.x1()) {
          for (int64_t c = 0; c < x0.channels; ++c) top[c] = std::max(top[c], base[c] + d[c]);
          d += x0.channels;
        } else {
          for (int64_t c = 0; c < x0.channels; ++c) top[c] = std::max(top[c], base[c]);
        }
      }
    }
    return top;
  }
};

}  // namespace

const OrtCustomOp* IncrementalGlobalMaxPoolOp() {
  static const Op<IncrementalGlobalMaxPool> op;
  return &op;
}

}  // namespace krypton
