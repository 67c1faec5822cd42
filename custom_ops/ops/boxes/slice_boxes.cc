// SliceBoxes: a caller's boxes of signals and volumes as boxes of their slices, [B * D, 4]: a volume's box has a box
// on each of its slices and empty ones beside them, a signal is a picture of one row. Offsets follow.
#include <string>

#include "op/op.h"
#include "ops/boxes/call.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct SliceBoxes : KernelBase<SliceBoxes> {
  static constexpr const char* kName = "SliceBoxes";
  using In = SliceBoxesInputs;
  static constexpr Slot kOutputs[] = {kInt32, kInt64};

  explicit SliceBoxes(const Ort::ConstKernelInfo& info) : KernelBase(info), image_(ReadImageShape(info)) {}

  void Compute(Ort::KernelContext context) const {
    const RegionList regions = ReadRegions(context, In::boxes, image_);
    const int64_t* offsets = ReadOffsets(context, In::offsets, regions.count);
    const int64_t depth = image_.size() == 3 ? image_[0] : 1, count = regions.count * depth;
    Box* out = WriteBoxes(context, count);
    int64_t* first_rows = context.GetOutput(1, {count}).GetTensorMutableData<int64_t>();
    for (int64_t b = 0; b < regions.count; ++b) {
      const Region region = regions[b];
      const bool volume = region.axes == 3;
      const int64_t z0 = volume ? region.start(0) : 0, z1 = volume ? z0 + region.size(0) : 1;
      const Box box = OnSlice(region);
      for (int64_t z = 0; z < depth; ++z, ++out, ++first_rows) {
        const bool inside = z >= z0 && z < z1 && !region.empty();
        *out = inside ? box : Box{0, 0, 0, 0};
        *first_rows = offsets[b] + (inside ? (z - z0) * box.area() : 0);
      }
    }
  }

 private:
  static Box OnSlice(const Region& region) {
    const size_t x = region.axes - 1;
    const bool signal = region.axes == 1;
    return {signal ? 0 : region.numbers[x - 1], region.numbers[x], signal ? 1 : region.numbers[region.axes + x - 1],
            region.numbers[region.axes + x]};
  }

  std::vector<int64_t> image_;
};

}  // namespace

const OrtCustomOp* SliceBoxesOp() {
  static const Op<SliceBoxes> op;
  return &op;
}

}  // namespace krypton
