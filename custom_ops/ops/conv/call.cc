#include "ops/conv/call.h"

#include <limits>
#include <utility>

namespace krypton {
namespace {

Operand ReadOperand(const Ort::KernelContext& context, const char* name, size_t base, size_t values) {
  const std::string base_name = std::string(name) + "0", boxes = std::string(name) + "_boxes";
  Operand operand{ReadBaseMap(context, base, base_name.c_str()), false, {}, {nullptr, 0, 0}};
  const size_t given = context.GetInputCount();
  if (given <= values || !context.GetInput(values)) return operand;
  if (given <= values + 1 || !context.GetInput(values + 1)) Fail(boxes + ": expected the boxes of " + name);
  operand.moves = true;
  operand.boxes = ReadBoxes(context, values + 1, boxes.c_str(), {operand.base.h, operand.base.w});
  operand.d = ReadValues(context, values, name, operand.boxes);
  CheckMap(operand.base, base_name.c_str(), {operand.base.h, operand.base.w}, operand.d.channels, operand.base.depth);
  CheckSlices(operand.boxes, boxes.c_str(), operand.base.depth);
  return operand;
}

// The larger of two sizes of which one may be 1.
int64_t Broadcast(int64_t a, int64_t b, const char* what) {
  if (a != b && a != 1 && b != 1) {
    Fail("A0 and B0: expected equal " + std::string(what) + " or 1, found " + ShapeText({a, b}));
  }
  return a == 1 ? b : a;
}

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

Precision ReadPrecision(const Ort::ConstKernelInfo& info) {
  const std::string name = AttributeOr<std::string>(info, "precision", "float32");
  if (name == "float32") return Precision::kFloat32;
  if (name == "bfloat16x3") return Precision::kBfloat16x3;
  if (name == "bfloat16") return Precision::kBfloat16;
  Fail("attribute precision: expected float32, bfloat16x3 or bfloat16, found '" + name + "'");
}

}  // namespace

BinaryCall ReadBinaryCall(const Ort::KernelContext& context) {
  BinaryCall call{ReadOperand(context, "A", 2, 0), ReadOperand(context, "B", 3, 5), {}, 0};
  const Operand &a = call.a, &b = call.b;
  const MapShape shape{Broadcast(a.base.h, b.base.h, "heights"), Broadcast(a.base.w, b.base.w, "widths")};
  call.channels = Broadcast(a.base.channels, b.base.channels, "channels");
  call.y_boxes = ReadBoxes(context, 4, "y_boxes", shape);
  if (b.base.depth != a.base.depth && (b.moves || b.base.depth != 1)) {
    Fail("A0 and B0: expected equal slices, found " + ShapeText({a.base.depth, b.base.depth}));
  }
  std::vector<BoxList> parts;
  for (const Operand* operand : {&a, &b}) {
    if (!operand->moves) continue;
    // Only a constant spreads over pixels: the boxes of a delta are those of the result.
    CheckMap(operand->base, operand == &a ? "A0" : "B0", shape, operand->base.channels, operand->base.depth);
    parts.push_back(operand->boxes);
  }
  CheckInside(call.y_boxes, parts);
  return call;
}

ConcatCall ReadConcatCall(const Ort::KernelContext& context) {
  ConcatCall call{ReadBoxes(context, 0, "y_boxes"), {}, {}, 0};
  const BoxList x_boxes = ReadBoxes(context, 1, "x_boxes");
  const auto parts = static_cast<int64_t>(context.GetInputCount()) - 2;
  const int64_t positions = call.y_boxes.count;
  if (parts < 1 || x_boxes.count != parts * positions) {
    Fail("x_boxes: expected " + std::to_string(parts) + " times " + std::to_string(positions) + " boxes, found " +
         std::to_string(x_boxes.count));
  }
  for (int64_t part = 0; part < parts; ++part) {
    const auto first = x_boxes.offsets.begin() + part * positions;
    BoxList boxes{x_boxes.data + part * positions, positions, {first, first + positions + 1}};
    for (int64_t& offset : boxes.offsets) offset -= x_boxes.offsets[static_cast<size_t>(part * positions)];
    call.values.push_back(ReadValues(context, static_cast<size_t>(part) + 2, "X", boxes));
    call.boxes.push_back(std::move(boxes));
    call.channels += call.values.back().channels;
  }
  CheckInside(call.y_boxes, call.boxes);
  return call;
}

OcclusionCall ReadOcclusionCall(const Ort::KernelContext& context) {
  const BaseMap image = ReadBaseMap(context, 0, "image"), baseline = ReadBaseMap(context, 1, "baseline");
  CheckMap(baseline, "baseline", {image.h, image.w}, image.channels, image.depth);
  const Values patches = ReadValues(context, 2, "patches");
  const Ort::ConstValue mask_value = context.GetInput(3);
  const std::vector<int64_t> mask_shape = mask_value.GetTensorTypeAndShapeInfo().GetShape();
  if (mask_shape.size() != 1) Fail("mask: expected rank 1, found shape " + ShapeText(mask_shape));
  const int64_t mask_rows = mask_shape[0];
  const bool* mask = mask_value.GetTensorData<bool>();
  const BoxList boxes = ReadBoxes(context, 4, "boxes", {image.h, image.w});
  CheckSlices(boxes, "boxes", image.depth);
  const Ort::ConstValue offsets_value = context.GetInput(5);
  const int64_t* offsets = offsets_value.GetTensorData<int64_t>();
  if (offsets_value.GetTensorTypeAndShapeInfo().GetShape() != std::vector<int64_t>{boxes.count}) {
    Fail("offsets: expected one for each box");
  }
  if (patches.rows > 0 && patches.channels != image.channels) Fail("patches: expected the image's channels");
  for (int64_t b = 0; b < boxes.count; ++b) {
    const int64_t area = boxes[b].area();
    const auto fits = [&](int64_t rows) { return rows == 0 || (offsets[b] >= 0 && offsets[b] <= rows - area); };
    if (area > 0 && !(fits(patches.rows) && fits(mask_rows))) Fail("offsets: outside patches or mask");
  }
  return {image, baseline, patches, mask, mask_rows, boxes, offsets};
}

PoolCall ReadPoolCall(const Ort::KernelContext& context, const Window& window, const DepthWindow& depth) {
  BoxList x_boxes = ReadBoxes(context, 1, "x_boxes", window.input());
  BoxList y_boxes = ReadBoxes(context, 2, "y_boxes", window.output());
  depth.CheckCounts(x_boxes, y_boxes);
  const Values d = ReadValues(context, 0, "X", x_boxes);
  return {std::move(x_boxes), std::move(y_boxes), d};
}

GatherCall ReadGatherCall(const Ort::KernelContext& context, const DepthWindow& depth, int64_t groups) {
  BoxList x_boxes = ReadBoxes(context, 1, "x_boxes"), y_boxes = ReadBoxes(context, 2, "y_boxes");
  depth.CheckCounts(x_boxes, y_boxes);
  const Values x = ReadValues(context, 0, "X", x_boxes);
  if (groups < 1 || x.channels % groups != 0) Fail("attribute group: expected a divisor of the channels");
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

BaseMapCall ReadBaseMapCall(const Ort::KernelContext& context, const std::string& layout) {
  const Ort::ConstValue tensor = context.GetInput(0);
  const std::vector<int64_t> shape = tensor.GetTensorTypeAndShapeInfo().GetShape();
  if (shape.size() != layout.size() || shape.size() < 3 || shape[0] != 1) {
    Fail("expected one image, a tensor of batch 1 in the order " + layout + "; found " + ShapeText(shape));
  }
  const bool channels_first = ChannelsFirst(layout);
  BaseMapCall call{tensor.GetTensorData<float>(), channels_first ? shape[1] : shape.back(), 1, {}};
  const auto first = shape.begin() + (channels_first ? 2 : 1), last = shape.end() - (channels_first ? 0 : 1);
  call.shape.assign(first, last);
  if (call.shape.size() == 1) call.shape.insert(call.shape.begin(), 1);  // a signal is a picture of one row
  for (int64_t size : call.shape) call.pixels *= size;
  call.shape.push_back(call.channels);
  return call;
}

void FailNotFinite(const std::string& tensor_name) {
  Fail("tensor '" + tensor_name + "' holds a NaN or an infinity for this image; incremental inference needs " +
       "finite numbers. Check the image and its preprocessing.");
}

std::vector<int64_t> DenseShape(const std::string& layout, int64_t positions, const BaseMap& map) {
  std::vector<int64_t> sizes = {map.depth, map.h, map.w};
  const int64_t axes = static_cast<int64_t>(layout.size()) - 2;
  if (axes < 1 || axes > 3 || (axes < 3 && map.depth != 1) || (axes == 1 && map.h != 1)) {
    Fail("T0: " + ShapeText(sizes) + " pixels are no map of layout " + layout);
  }
  sizes.erase(sizes.begin(), sizes.end() - axes);
  sizes.insert(ChannelsFirst(layout) ? sizes.begin() : sizes.end(), map.channels);
  sizes.insert(sizes.begin(), positions);
  return sizes;
}

ConvAttributes ReadConvAttributes(const Ort::ConstKernelInfo& info) {
  const ConvAttributes attributes{ReadWindow(info),
                                  AttributeOr<int64_t>(info, "group", 1),
                                  AttributeOr<int64_t>(info, "slices", 1),
                                  AttributeOr<float>(info, "min", 0.0f),
                                  AttributeOr<float>(info, "max", std::numeric_limits<float>::infinity()),
                                  ReadPrecision(info)};
  if (attributes.slices < 1) Fail("attribute slices: expected at least 1");
  return attributes;
}

ConvCall ReadConvCall(const Ort::KernelContext& context, const ConvAttributes& attributes) {
  const Window& window = attributes.window;
  const int64_t groups = attributes.groups, slices = attributes.slices;
  ConvCall call;
  call.x_boxes = ReadBoxes(context, 1, "x_boxes", window.input());
  call.y_boxes = ReadBoxes(context, 2, "y_boxes", window.output());
  CheckSameCount(call.x_boxes, call.y_boxes, "x_boxes", "y_boxes");
  CheckSlices(call.y_boxes, "y_boxes", slices);
  call.x = ReadValues(context, 0, "X", call.x_boxes);
  const Ort::ConstValue weights = context.GetInput(3);
  call.shape = ReadConvShape(weights, window, groups, call.x.channels);
  call.weights = weights.GetTensorData<float>();
  call.weights_shape = weights.GetTensorTypeAndShapeInfo().GetShape();
  call.z = {nullptr, 0, 0, 0};
  if (context.GetInputCount() > 4 && context.GetInput(4)) {
    call.z = ReadBaseMap(context, 4, "Z0");
    CheckMap(call.z, "Z0", window.output(), call.shape.maps, slices);
  }
  call.adds = context.GetInputCount() > 5 && context.GetInput(5);
  if (call.adds) {
    if (context.GetInputCount() <= 6 || !context.GetInput(6)) Fail("b_boxes: expected the boxes of B");
    call.b_boxes = ReadBoxes(context, 6, "b_boxes", window.output());
    CheckSameCount(call.b_boxes, call.y_boxes, "b_boxes", "y_boxes");
    call.b = ReadValues(context, 5, "B", call.b_boxes);
    if (call.b.channels != call.shape.maps) {
      Fail("B: expected " + std::to_string(call.shape.maps) + " channels, found " + std::to_string(call.b.channels));
    }
  }
  return call;
}

GemmCall ReadGemmCall(const Ort::KernelContext& context, const VolumeShape& map) {
  BoxList boxes = ReadBoxes(context, 1, "boxes", map.slice);
  CheckSlices(boxes, "boxes", map.depth);
  const Values x = ReadValues(context, 0, "X", boxes), w = ReadValues(context, 2, "W");
  if (x.channels < 1 || w.rows != map.pixels() * x.channels) {
    Fail("W: expected " + std::to_string(map.pixels() * x.channels) + " rows (a pixel's channels each), found " +
         std::to_string(w.rows));
  }
  return {x, std::move(boxes), w};
}

}  // namespace krypton
