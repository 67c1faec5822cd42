// DepthGather: the slices that a window along the depth of volumes reads, side by side as channels: rows
// [.., group][tap][C / group], zero where there is no slice or it has nothing. A convolution of volumes is one of
// slices behind it.
#include <algorithm>

#include "geometry/pixels.h"
#include "geometry/window.h"
#include "ops/conv/call.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct DepthGather : KernelBase<DepthGather> {
  static constexpr const char* kName = "DepthGather";
  static constexpr Slot kInputs[] = {kFloat, kInt32, kInt32}, kOutputs[] = {kFloat};

  explicit DepthGather(const Ort::ConstKernelInfo& info)
      : KernelBase(info), depth_(ReadDepth(info, true)), groups_(AttributeOr<int64_t>(info, "group", 1)) {}

  void Compute(Ort::KernelContext context) const {
    const GatherCall call = ReadGatherCall(context, depth_, groups_);
    const Values& x = call.x;
    const int64_t taps = depth_.axis.kernel, part = x.channels / groups_, channels = taps * x.channels;
    float* out = WriteValues(context, 0, call.y_boxes.rows(), channels);
    ForEachPixel(context, call.y_boxes, [&](int64_t b, int64_t py, int64_t px, int64_t row) {
      const int64_t position = depth_.Position(b), slice = depth_.Slice(b);
      const Range inside = depth_.taps[slice];
      for (int64_t tap = 0; tap < taps; ++tap) {
        const bool there = tap >= inside.lo && tap < inside.hi;
        const int64_t from = there ? RowOf(call.x_boxes, depth_.Source(position, slice, tap), py, px) : -1;
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
  DepthWindow depth_;
  int64_t groups_;
};

}  // namespace

const OrtCustomOp* DepthGatherOp() {
  static const Op<DepthGather> op;
  return &op;
}

}  // namespace krypton
