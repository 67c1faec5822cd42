#include "ops/pointwise/call.h"

#include <string>
#include <vector>

namespace krypton {
namespace {

Operand ReadOperand(const Ort::KernelContext& context, const Input& base, const Input& values, const Input& boxes) {
  Operand operand{ReadBaseMap(context, base), false, {}, {nullptr, 0, 0}};
  if (!IsGiven(context, values)) return operand;
  if (!IsGiven(context, boxes)) Fail(std::string(boxes.name) + ": expected the boxes of " + values.name);
  const MapShape shape{operand.base.h, operand.base.w};
  operand.moves = true;
  operand.boxes = ReadBoxes(context, boxes, shape);
  operand.d = ReadValues(context, values, operand.boxes);
  CheckMap(operand.base, base, shape, operand.d.channels, operand.base.depth);
  CheckSlices(operand.boxes, boxes, operand.base.depth);
  return operand;
}

// The larger of two sizes of which one may be 1.
int64_t Broadcast(int64_t a, int64_t b, const char* what) {
  if (a != b && a != 1 && b != 1) {
    Fail("A0 and B0: expected equal " + std::string(what) + " or 1, found " + ShapeText({a, b}));
  }
  return a == 1 ? b : a;
}

}  // namespace

Activation ReadActivation(const Ort::ConstKernelInfo& info) {
  const Activation activation{ReadFunction<Function>(info, kFunctionNames, "none of the activations"),
                              AttributeOr<float>(info, "alpha", 1.0f), AttributeOr<float>(info, "beta", 1.0f)};
  const bool divides = activation.function == Function::kCelu || activation.function == Function::kHardSigmoid;
  if (divides && activation.alpha == 0.0f) Fail("attribute alpha: expected another number than 0");
  return activation;
}

const float* ReadClipScale(const Ort::KernelContext& context, int64_t channels) {
  using In = IncrementalClipInputs;
  return IsGiven(context, In::scale) ? ReadPerChannel(context, In::scale, channels) : nullptr;
}

ScaleCall ReadScaleCall(const Ort::KernelContext& context) {
  using In = IncrementalScaleInputs;
  const Values x = ReadValues(context, In::X);
  return {x, ReadPerChannel(context, In::scale, x.channels)};
}

AddCall ReadAddCall(const Ort::KernelContext& context) {
  using In = IncrementalAddInputs;
  AddCall call{ReadBoxes(context, In::a_boxes),
               ReadBoxes(context, In::b_boxes),
               ReadBoxes(context, In::y_boxes),
               {nullptr, 0, 0},
               {nullptr, 0, 0}};
  call.a = ReadValues(context, In::A, call.a_boxes), call.b = ReadValues(context, In::B, call.b_boxes);
  if (call.a.channels != call.b.channels) Fail("A and B: expected equal channels");
  CheckInside(call.y_boxes, {call.a_boxes, call.b_boxes});
  return call;
}

BinaryAttributes ReadBinaryAttributes(const Ort::ConstKernelInfo& info) {
  return {ReadFunction<Binary>(info, kBinaryNames, "no function of two maps"),
          AttributeOr<int64_t>(info, "swapped", 0) != 0};
}

BinaryCall ReadBinaryCall(const Ort::KernelContext& context) {
  using In = IncrementalBinaryInputs;
  BinaryCall call{
      ReadOperand(context, In::A0, In::A, In::a_boxes), ReadOperand(context, In::B0, In::B, In::b_boxes), {}, 0};
  const Operand &a = call.a, &b = call.b;
  const MapShape shape{Broadcast(a.base.h, b.base.h, "heights"), Broadcast(a.base.w, b.base.w, "widths")};
  call.channels = Broadcast(a.base.channels, b.base.channels, "channels");
  call.y_boxes = ReadBoxes(context, In::y_boxes, shape);
  if (b.base.depth != a.base.depth && (b.moves || b.base.depth != 1)) {
    Fail("A0 and B0: expected equal slices, found " + ShapeText({a.base.depth, b.base.depth}));
  }
  std::vector<BoxList> parts;
  for (const Operand* operand : {&a, &b}) {
    if (!operand->moves) continue;
    // Only a constant spreads over pixels: the boxes of a delta are those of the result.
    CheckMap(operand->base, operand == &a ? In::A0 : In::B0, shape, operand->base.channels, operand->base.depth);
    parts.push_back(operand->boxes);
  }
  CheckInside(call.y_boxes, parts);
  return call;
}

}  // namespace krypton
