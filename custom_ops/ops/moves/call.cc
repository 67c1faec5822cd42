#include "ops/moves/call.h"

#include <string>
#include <utility>

namespace krypton {

PadAttributes ReadPadAttributes(const Ort::ConstKernelInfo& info) {
  const std::vector<int64_t> shift = ReadShift(info), output = ReadSize(info, "output_shape");
  return {shift[0], shift[1], {output[0], output[1]}};
}

PadCall ReadPadCall(const Ort::KernelContext& context, const PadAttributes& attributes) {
  using In = IncrementalPadInputs;
  PadCall call{ReadBoxes(context, In::x_boxes), ReadBoxes(context, In::y_boxes, attributes.output), {nullptr, 0, 0}};
  CheckSameCount(call.x_boxes, call.y_boxes, "x_boxes", "y_boxes");
  call.x = ReadValues(context, In::X, call.x_boxes);
  return call;
}

PadCall ReadTransposeCall(const Ort::KernelContext& context, MapShape input) {
  using In = IncrementalTransposeInputs;
  const MapShape output{input.w, input.h};
  PadCall call{ReadBoxes(context, In::x_boxes, input), ReadBoxes(context, In::y_boxes, output), {nullptr, 0, 0}};
  CheckSameCount(call.x_boxes, call.y_boxes, "x_boxes", "y_boxes");
  call.x = ReadValues(context, In::X, call.x_boxes);
  return call;
}

ResampleCall ReadResampleCall(const Ort::KernelContext& context, MapShape input) {
  using In = IncrementalResampleInputs;
  ResampleCall call{ReadResampleAxis(context, In::y_index, In::y_weight, input.h),
                    ReadResampleAxis(context, In::x_index, In::x_weight, input.w),
                    {},
                    {},
                    {nullptr, 0, 0}};
  call.x_boxes = ReadBoxes(context, In::x_boxes, input);
  call.y_boxes = ReadBoxes(context, In::y_boxes, {call.ys.out, call.xs.out});
  CheckSameCount(call.x_boxes, call.y_boxes, "x_boxes", "y_boxes");
  call.d = ReadValues(context, In::X, call.x_boxes);
  return call;
}

ConcatCall ReadConcatCall(const Ort::KernelContext& context) {
  using In = IncrementalConcatInputs;
  BoxList y_boxes = ReadBoxes(context, In::y_boxes);
  Parts parts = ReadParts(context, In::x_boxes, In::X, y_boxes);
  return {std::move(y_boxes), std::move(parts)};
}

GatherAttributes ReadGatherAttributes(const Ort::ConstKernelInfo& info) {
  return {ReadDepth(info, true), AttributeOr<int64_t>(info, "group", 1)};
}

GatherCall ReadGatherCall(const Ort::KernelContext& context, const GatherAttributes& attributes) {
  using In = DepthGatherInputs;
  const DepthWindow& depth = attributes.depth;
  BoxList x_boxes = ReadBoxes(context, In::x_boxes), y_boxes = ReadBoxes(context, In::y_boxes);
  CheckPositions(depth, x_boxes, In::x_boxes, y_boxes, In::y_boxes);
  const Values x = ReadValues(context, In::X, x_boxes);
  if (attributes.groups < 1 || x.channels % attributes.groups != 0) {
    Fail("attribute group: expected a divisor of the channels");
  }
  // As CheckInside: nobody may ask for more rows than the slices have room for.
  std::vector<Box> hulls(static_cast<size_t>(y_boxes.count), Box{0, 0, 0, 0});
  for (int64_t b = 0; b < y_boxes.count; ++b) {
    const int64_t position = depth.Position(b), slice = depth.Slice(b);
    for (int64_t tap = depth.taps[slice].lo; tap < depth.taps[slice].hi; ++tap) {
      hulls[b] = Hull(hulls[b], x_boxes[depth.Source(position, slice, tap)]);
    }
  }
  BoxList parts;
  parts.data = hulls.data(), parts.count = y_boxes.count;
  CheckInside(y_boxes, {parts});
  return {x, std::move(x_boxes), std::move(y_boxes)};
}

}  // namespace krypton
