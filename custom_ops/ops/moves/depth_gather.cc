// DepthGather: the slices that a window along the depth of volumes reads, side by side as channels: rows
// [.., group][tap][C / group], zero where there is no slice or it has nothing. A convolution of volumes is one of
// slices behind it.
#include <algorithm>

#include "op/op.h"
#include "op/parallel.h"
#include "ops/moves/call.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct DepthGather : KernelBase<DepthGather> {
  static constexpr const char* kName = "DepthGather";
  using In = DepthGatherInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit DepthGather(const Ort::ConstKernelInfo& info) : KernelBase(info), attributes_(ReadGatherAttributes(info)) {}

  void Compute(Ort::KernelContext context) const {
    const GatherCall call = ReadGatherCall(context, attributes_);
    const DepthWindow& depth = attributes_.depth;
    const Values& x = call.x;
    const int64_t taps = depth.axis.kernel, groups = attributes_.groups;
    const int64_t part = x.channels / groups, channels = taps * x.channels;
    float* out = WriteValues(context, call.y_boxes.rows(), channels);
    ForEachPixel(context, call.y_boxes, [&](int64_t b, int64_t py, int64_t px, int64_t row) {
      const int64_t position = depth.Position(b), slice = depth.Slice(b);
      const Range inside = depth.taps[slice];
      for (int64_t tap = 0; tap < taps; ++tap) {
        const bool there = tap >= inside.lo && tap < inside.hi;
        const int64_t from = there ? RowOf(call.x_boxes, depth.Source(position, slice, tap), py, px) : -1;
        for (int64_t group = 0; group < groups; ++group) {
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
  GatherAttributes attributes_;
};

}  // namespace

const OrtCustomOp* DepthGatherOp() {
  static const Op<DepthGather> op;
  return &op;
}

}  // namespace krypton
