#include "ops/conv/call.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace krypton {
namespace {

ConvShape ReadConvShape(const Ort::ConstValue& weights, const Window& window, int64_t groups, int64_t channels) {
  const std::vector<int64_t> w = weights.GetTensorTypeAndShapeInfo().GetShape();
  const int64_t kernel_y = w.size() > 3 ? w[w.size() - 2] : 1, slices = w.size() == 5 ? w[2] : 1;
  if (w.size() < 3 || w.size() > 5 || kernel_y != window.y.kernel || w.back() != window.x.kernel || groups < 1 ||
      w[1] < 1 || groups > channels || slices < 1 || w[1] * slices * groups != channels || w[0] % groups != 0 ||
      w[0] < 1) {
    Fail("W: expected [M,C/group,kH,kW], of signals [M,C/group,kW], of volumes [M,C/group,kD,kH,kW] behind a " +
         std::string("DepthGather, for C = ") + std::to_string(channels) + ", group = " + std::to_string(groups) +
         "; found " + ShapeText(w));
  }
  return {channels, groups, w[1] * slices, w[0], w[0] / groups, slices};
}

// The boxes lie inside the map, one a slice of it.
void CheckOnMap(const BoxList& boxes, const Input& input, const BaseMap& map) {
  for (int64_t b = 0; b < boxes.count; ++b) {
    if (boxes[b].y1() > map.h || boxes[b].x1() > map.w) {
      Fail(std::string(input.name) + ": box " + std::to_string(b) + " does not lie inside the map of " +
           ShapeText({map.h, map.w}));
    }
  }
  CheckSlices(boxes, input, map.depth);
}

Precision ReadPrecision(const Ort::ConstKernelInfo& info) {
  static constexpr const char* kNames[] = {"float32", "bfloat16x3", "bfloat16"};  // in the order of Precision
  const std::string name = AttributeOr<std::string>(info, "precision", kNames[0]);
  const int32_t found = FindName(kNames, name);
  if (found < 0) Fail("attribute precision: expected float32, bfloat16x3 or bfloat16, found '" + name + "'");
  return static_cast<Precision>(found);
}

}  // namespace

ConvAttributes ReadConvAttributes(const Ort::ConstKernelInfo& info) {
  const ConvAttributes attributes{ReadWindow(info), AttributeOr<int64_t>(info, "group", 1),
                                  AttributeOr<int64_t>(info, "slices", 1), ReadBounds(info), ReadPrecision(info)};
  if (attributes.slices < 1) Fail("attribute slices: expected at least 1");
  return attributes;
}

ConcatConvAttributes ReadConcatConvAttributes(const Ort::ConstKernelInfo& info) {
  const WindowAxis pixel{1, 1, 0, 0, 1, INT32_MAX, INT32_MAX};
  return {{{pixel, pixel}, 1, 1, ReadBounds(info), ReadPrecision(info)},
          {AttributeOr<float>(info, "x_min", 0.0f),
           AttributeOr<float>(info, "x_max", std::numeric_limits<float>::infinity())}};
}

ConcatConvCall ReadConcatConvCall(const Ort::KernelContext& context) {
  using In = IncrementalConcatConvInputs;
  ConcatConvCall call{};
  call.y_boxes = ReadBoxes(context, In::y_boxes);
  call.parts = ReadParts(context, In::x_boxes, In::X, call.y_boxes);
  const int64_t channels = call.parts.channels;
  const Ort::ConstValue weights = context.GetInput(In::W.index);
  call.weights = weights.GetTensorData<float>();
  call.weights_shape = weights.GetTensorTypeAndShapeInfo().GetShape();
  const std::vector<int64_t>& w = call.weights_shape;
  if (w.size() < 3 || w.size() > 5 || w[0] < 1 || channels < 1 || w[1] != channels ||
      std::any_of(w.begin() + 2, w.end(), [](int64_t kernel) { return kernel != 1; })) {
    Fail("W: expected [M,C,1,1] or as many ones as the image has axes, for C = " + std::to_string(channels) +
         "; found " + ShapeText(w));
  }
  call.shape = {channels, 1, channels, w[0], w[0]};
  if (IsGiven(context, In::X0)) {
    call.x0 = ReadBaseMap(context, In::X0);
    CheckMap(call.x0, In::X0, {call.x0.h, call.x0.w}, channels, call.x0.depth);
    CheckOnMap(call.y_boxes, In::y_boxes, call.x0);
  }
  if (IsGiven(context, In::scale)) call.scale = ReadPerChannel(context, In::scale, channels);
  if (IsGiven(context, In::Z0)) {
    call.z = ReadBaseMap(context, In::Z0);
    CheckMap(call.z, In::Z0, {call.z.h, call.z.w}, call.shape.maps, call.z.depth);
    CheckOnMap(call.y_boxes, In::y_boxes, call.z);
  }
  return call;
}

ConvCall ReadConvCall(const Ort::KernelContext& context, const ConvAttributes& attributes) {
  using In = IncrementalConvInputs;
  const Window& window = attributes.window;
  const int64_t groups = attributes.groups, slices = attributes.slices;
  ConvCall call;
  call.x_boxes = ReadBoxes(context, In::x_boxes, window.input());
  call.y_boxes = ReadBoxes(context, In::y_boxes, window.output());
  CheckSameCount(call.x_boxes, call.y_boxes, "x_boxes", "y_boxes");
  CheckSlices(call.y_boxes, In::y_boxes, slices);
  call.x = ReadValues(context, In::X, call.x_boxes);
  const Ort::ConstValue weights = context.GetInput(In::W.index);
  call.shape = ReadConvShape(weights, window, groups, call.x.channels);
  call.weights = weights.GetTensorData<float>();
  call.weights_shape = weights.GetTensorTypeAndShapeInfo().GetShape();
  call.z = {nullptr, 0, 0, 0};
  if (IsGiven(context, In::Z0)) {
    call.z = ReadBaseMap(context, In::Z0);
    CheckMap(call.z, In::Z0, window.output(), call.shape.maps, slices);
  }
  call.adds = IsGiven(context, In::B);
  if (call.adds) {
    if (!IsGiven(context, In::b_boxes)) Fail("b_boxes: expected the boxes of B");
    call.b_boxes = ReadBoxes(context, In::b_boxes, window.output());
    CheckSameCount(call.b_boxes, call.y_boxes, "b_boxes", "y_boxes");
    call.b = ReadValues(context, In::B, call.b_boxes);
    if (call.b.channels != call.shape.maps) {
      Fail("B: expected " + std::to_string(call.shape.maps) + " channels, found " + std::to_string(call.b.channels));
    }
  }
  return call;
}

GemmCall ReadGemmCall(const Ort::KernelContext& context, const VolumeShape& map) {
  using In = IncrementalGemmInputs;
  BoxList boxes = ReadBoxes(context, In::boxes, map.slice);
  CheckSlices(boxes, In::boxes, map.depth);
  const Values x = ReadValues(context, In::X, boxes), w = ReadValues(context, In::W);
  if (x.channels < 1 || w.rows != map.pixels() * x.channels) {
    Fail("W: expected " + std::to_string(map.pixels() * x.channels) + " rows (a pixel's channels each), found " +
         std::to_string(w.rows));
  }
  return {x, std::move(boxes), w};
}

}  // namespace krypton
