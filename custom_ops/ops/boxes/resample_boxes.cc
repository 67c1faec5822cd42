// ResampleBoxes: the hull of the outputs that read anything of a box (geometry.resample_boxes).
#include <algorithm>

#include "op/op.h"
#include "ops/boxes/call.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct Interval {
  int64_t lo, hi;
};

Interval Reading(const Readers& readers, int64_t lo, int64_t hi) {
  Interval found{INT64_MAX, 0};
  hi = std::min(hi, static_cast<int64_t>(readers.first.size()));
  for (int64_t i = lo; i < hi; ++i) {
    found.lo = std::min(found.lo, readers.first[i]);
    found.hi = std::max(found.hi, readers.last[i]);
  }
  return found;
}

struct ResampleBoxes : KernelBase<ResampleBoxes> {
  static constexpr const char* kName = "ResampleBoxes";
  using In = ResampleBoxesInputs;
  static constexpr Slot kOutputs[] = {kInt32};

  explicit ResampleBoxes(const Ort::ConstKernelInfo& info) : KernelBase(info), shape_(ReadSize(info, "input_shape")) {}

  void Compute(Ort::KernelContext context) const {
    const BoxList boxes = ReadBoxes(context, In::boxes, {shape_[0], shape_[1]});
    const Readers ys(ReadResampleAxis(context, In::y_index, shape_[0]));
    const Readers xs(ReadResampleAxis(context, In::x_index, shape_[1]));
    Box* out = WriteBoxes(context, boxes.count);
    for (int64_t b = 0; b < boxes.count; ++b) {
      const Box& box = boxes[b];
      out[b] = {0, 0, 0, 0};
      if (box.empty()) continue;
      const Interval y = Reading(ys, box.y0, box.y1()), x = Reading(xs, box.x0, box.x1());
      if (y.lo >= y.hi || x.lo >= x.hi) continue;
      out[b] = {static_cast<int32_t>(y.lo), static_cast<int32_t>(x.lo), static_cast<int32_t>(y.hi - y.lo),
                static_cast<int32_t>(x.hi - x.lo)};
    }
  }

 private:
  std::vector<int64_t> shape_;
};

}  // namespace

const OrtCustomOp* ResampleBoxesOp() {
  static const Op<ResampleBoxes> op;
  return &op;
}

}  // namespace krypton
