// DepthGather: the slices that a window along the depth of volumes reads, side by side as channels: rows
// [.., group][tap][C / group], zero where there is no slice or it has nothing. A convolution of volumes is one of
// slices behind it.
#include <algorithm>

#include "common/pixels.h"
#include "common/window.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct DepthGather : KernelBase<DepthGather> {
  static constexpr const char* kName = "DepthGather";
  static constexpr Slot kInputs[] = {kFloat, kInt32, kInt32}, kOutputs[] = {kFloat};

  explicit DepthGather(const Ort::ConstKernelInfo& info)
      : KernelBase(info), depth_(ReadDepth(info, true)), groups_(AttributeOr<int64_t>(info, "group", 1)) {}

  void Compute(Ort::KernelContext context) const {
    const BoxList x_boxes = ReadBoxes(context, 1, "x_boxes"), y_boxes = ReadBoxes(context, 2, "y_boxes");
    depth_.CheckCounts(x_boxes, y_boxes);
    const Values x = ReadValues(context, 0, "X", x_boxes);
    if (groups_ < 1 || x.channels % groups_ != 0) Fail("attribute group: expected a divisor of the channels");
    CheckHulls(x_boxes, y_boxes);
    const int64_t taps = depth_.axis.kernel, part = x.channels / groups_, channels = taps * x.channels;
    float* out = WriteValues(context, 0, y_boxes.rows(), channels);
    ForEachPixel(context, y_boxes, [&](int64_t b, int64_t py, int64_t px, int64_t row) {
      const int64_t position = depth_.Position(b), slice = depth_.Slice(b);
      const Range inside = depth_.taps[slice];
      for (int64_t tap = 0; tap < taps; ++tap) {
        const bool there = tap >= inside.lo && tap < inside.hi;
        const int64_t from = there ? RowOf(x_boxes, depth_.Source(position, slice, tap), py, px) : -1;
        for (int64_t group = 0; group < groups_; ++group) {
          float* to = out + row * channels + (group * taps + tap) * part;
          if (from < 0) {
            std::fill_n(to, part, 0.0f);
          } else {
            std::copy_n(x.row(from) + group * part, part, to);
          }
        }
      }
    });
  }

 private:
  // As CheckInside: nobody may ask for more rows than the slices have room for.
  void CheckHulls(const BoxList& x_boxes, const BoxList& y_boxes) const {
    std::vector<Box> hulls(static_cast<size_t>(y_boxes.count), Box{0, 0, 0, 0});
    for (int64_t b = 0; b < y_boxes.count; ++b) {
      const int64_t position = depth_.Position(b), slice = depth_.Slice(b);
      for (int64_t tap = depth_.taps[slice].lo; tap < depth_.taps[slice].hi; ++tap) {
        hulls[b] = Hull(hulls[b], x_boxes[depth_.Source(position, slice, tap)]);
      }
    }
    BoxList parts;
    parts.data = hulls.data(), parts.count = y_boxes.count;
    CheckInside(y_boxes, {parts});
  }

  DepthWindow depth_;
  int64_t groups_;
};

}  // namespace

const OrtCustomOp* DepthGatherOp() {
  static const Op<DepthGather> op;
  return &op;
}

}  // namespace krypton
