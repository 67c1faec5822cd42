// DifferenceCounts: in how many pixels image and baseline differ, summed up to each corner, [D + 1, H + 1, W + 1]:
// eight entries tell it of any block of pixels (BaselineRows).
#include <algorithm>
#include <string>

#include "op/op.h"
#include "ops/boxes/call.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct DifferenceCounts : KernelBase<DifferenceCounts> {
  static constexpr const char* kName = "DifferenceCounts";
  using In = DifferenceCountsInputs;
  static constexpr Slot kOutputs[] = {kInt32};

  explicit DifferenceCounts(const Ort::ConstKernelInfo& info) : KernelBase(info) {}

  void Compute(Ort::KernelContext context) const {
    const BaseMap image = ReadBaseMap(context, In::image), baseline = ReadBaseMap(context, In::baseline);
    CheckMap(baseline, In::baseline, {image.h, image.w}, image.channels, image.depth);
    const int64_t row = image.w + 1, plane = (image.h + 1) * row, channels = image.channels;
    int32_t* counts = context.GetOutput(0, {image.depth + 1, image.h + 1, row}).GetTensorMutableData<int32_t>();
    std::fill(counts, counts + (image.depth + 1) * plane, 0);
    for (int64_t z = 0; z < image.depth; ++z) {
      for (int64_t y = 0; y < image.h; ++y) {
        int32_t* to = counts + (z + 1) * plane + (y + 1) * row;
        for (int64_t x = 0; x < image.w; ++x) {
          const float *a = image.pixel(z, y, x), *b = baseline.pixel(z, y, x);
          const auto differs = static_cast<int32_t>(!std::equal(a, a + channels, b));
          to[x + 1] = differs + to[x] + to[x + 1 - row] - to[x - row] + to[x + 1 - plane] - to[x - plane] -
                      to[x + 1 - row - plane] + to[x - row - plane];
        }
      }
    }
  }
};

}  // namespace

const OrtCustomOp* DifferenceCountsOp() {
  static const Op<DifferenceCounts> op;
  return &op;
}

}  // namespace krypton
