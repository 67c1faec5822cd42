#include "op/inputs.h"

#include <algorithm>
#include <string>

namespace krypton {
namespace {

Ort::ConstValue Read(const Ort::KernelContext& context, const Input& input, size_t rank) {
  Ort::ConstValue value = context.GetInput(input.index);
  if (!value) Fail(std::string(input.name) + ": missing");
  const auto info = value.GetTensorTypeAndShapeInfo();
  if (info.GetElementType() != input.slot.type) Fail(std::string(input.name) + ": unexpected element type");
  const std::vector<int64_t> shape = info.GetShape();
  if (shape.size() != rank) {
    Fail(std::string(input.name) + ": expected rank " + std::to_string(rank) + ", found shape " + ShapeText(shape));
  }
  return value;
}

std::vector<int64_t> ShapeOf(const Ort::ConstValue& value) { return value.GetTensorTypeAndShapeInfo().GetShape(); }

std::string MapText(MapShape shape, int64_t channels, int64_t depth) {
  return depth == 1 ? ShapeText({shape.h, shape.w, channels}) : ShapeText({depth, shape.h, shape.w, channels});
}

std::string BoxText(const Box& box) { return ShapeText({box.y0, box.x0, box.h, box.w}); }

// Sums of that many pixels cannot wrap before they are compared with a tensor's rows.
bool TooManyPixels(int64_t before, int64_t more) { return before > (INT64_MAX >> 2) - more; }

}  // namespace

BoxList ReadBoxes(const Ort::KernelContext& context, const Input& input) {
  // The largest map an int32 box can lie on; ops that know their map pass it.
  return ReadBoxes(context, input, {INT32_MAX, INT32_MAX});
}

BoxList ReadBoxes(const Ort::KernelContext& context, const Input& input, MapShape map) {
  const Ort::ConstValue value = Read(context, input, 2);
  const std::vector<int64_t> shape = ShapeOf(value);
  const std::string name = input.name;
  if (shape[1] != 4) Fail(name + ": expected shape [B,4], found " + ShapeText(shape));
  BoxList boxes;
  boxes.data = reinterpret_cast<const Box*>(value.GetTensorData<int32_t>());
  boxes.count = shape[0];
  boxes.offsets.resize(static_cast<size_t>(boxes.count) + 1);
  boxes.offsets[0] = 0;
  for (int64_t b = 0; b < boxes.count; ++b) {
    const Box& box = boxes[b];
    if (box.y0 < 0 || box.x0 < 0 || box.h < 0 || box.w < 0 || box.y1() > map.h || box.x1() > map.w) {
      Fail(name + ": box " + std::to_string(b) + " = (y0,x0,h,w) " + BoxText(box) + " does not lie inside the map of " +
           ShapeText({map.h, map.w}));
    }
    if (TooManyPixels(boxes.offsets[b], box.area())) Fail(name + ": boxes hold too many pixels");
    boxes.offsets[b + 1] = boxes.offsets[b] + box.area();
  }
  return boxes;
}

Values ReadValues(const Ort::KernelContext& context, const Input& input) {
  const Ort::ConstValue value = Read(context, input, 2);
  const std::vector<int64_t> shape = ShapeOf(value);
  return {value.GetTensorData<float>(), shape[0], shape[1]};
}

Values ReadValues(const Ort::KernelContext& context, const Input& input, const BoxList& boxes) {
  const Values values = ReadValues(context, input);
  if (values.rows != boxes.rows()) {
    Fail(std::string(input.name) + ": expected " + std::to_string(boxes.rows()) +
         " rows (the pixels of its boxes), found " + std::to_string(values.rows));
  }
  return values;
}

BaseMap ReadBaseMap(const Ort::KernelContext& context, const Input& input) {
  const bool volume = context.GetInput(input.index).GetTensorTypeAndShapeInfo().GetDimensionsCount() == 4;
  const Ort::ConstValue value = Read(context, input, volume ? 4 : 3);
  const std::vector<int64_t> shape = ShapeOf(value);
  if (!volume) return {value.GetTensorData<float>(), shape[0], shape[1], shape[2]};
  if (shape[0] < 1) Fail(std::string(input.name) + ": expected at least one slice, found shape " + ShapeText(shape));
  return {value.GetTensorData<float>(), shape[1], shape[2], shape[3], shape[0]};
}

const float* ReadPerChannel(const Ort::KernelContext& context, const Input& input, int64_t channels) {
  const Ort::ConstValue value = context.GetInput(input.index);
  if (ShapeOf(value) != std::vector<int64_t>{channels}) {
    Fail(std::string(input.name) + ": expected " + std::to_string(channels) + " values, one a channel");
  }
  return value.GetTensorData<float>();
}

const bool* ReadRowFlags(const Ort::KernelContext& context, const Input& input, int64_t rows) {
  const Ort::ConstValue value = Read(context, input, 1);
  if (ShapeOf(value) != std::vector<int64_t>{rows}) {
    Fail(std::string(input.name) + ": expected " + std::to_string(rows) + " entries, one a row; found shape " +
         ShapeText(ShapeOf(value)));
  }
  return value.GetTensorData<bool>();
}

const int64_t* ReadOffsets(const Ort::KernelContext& context, const Input& input, int64_t boxes) {
  const Ort::ConstValue value = context.GetInput(input.index);
  const int64_t* offsets = value.GetTensorData<int64_t>();
  if (ShapeOf(value) != std::vector<int64_t>{boxes}) Fail(std::string(input.name) + ": expected one for each box");
  return offsets;
}

RegionList ReadRegions(const Ort::KernelContext& context, const Input& input, const std::vector<int64_t>& image) {
  constexpr const char* kNumbers[] = {"(x0,w)", "(y0,x0,h,w)", "(z0,y0,x0,d,h,w)"};
  const Ort::ConstValue value = context.GetInput(input.index);
  const auto info = value.GetTensorTypeAndShapeInfo();
  const std::vector<int64_t> shape = info.GetShape();
  const std::string name = input.name;
  const size_t axes = image.size();
  if (info.GetElementType() != input.slot.type || shape.size() != 2 || shape[1] != static_cast<int64_t>(2 * axes)) {
    Fail(name + ": expected int32 [B," + std::to_string(2 * axes) + "], found shape " + ShapeText(shape));
  }
  RegionList regions{value.GetTensorData<int32_t>(), shape[0], axes, {0}};
  regions.offsets.reserve(static_cast<size_t>(regions.count) + 1);
  for (int64_t b = 0; b < regions.count; ++b) {
    const Region region = regions[b];
    if (!region.LiesInside(image)) {
      Fail(name + ": box " + std::to_string(b) + " = " + kNumbers[axes - 1] + " " +
           ShapeText(std::vector<int64_t>(region.numbers, region.numbers + 2 * axes)) +
           " does not lie inside the image of " + ShapeText(image));
    }
    int64_t pixels = 1;
    for (size_t axis = 0; axis < axes; ++axis) pixels *= region.size(axis);
    if (TooManyPixels(regions.offsets[b], pixels)) Fail(name + ": boxes hold too many pixels");
    regions.offsets.push_back(regions.offsets[b] + pixels);
  }
  return regions;
}

ResampleAxis ReadResampleAxis(const Ort::KernelContext& context, const Input& index, int64_t in) {
  const Ort::ConstValue table = context.GetInput(index.index);
  const std::vector<int64_t> shape = ShapeOf(table);
  if (shape.size() != 2) Fail(std::string(index.name) + ": expected [outputs, taps], found " + ShapeText(shape));
  const ResampleAxis axis{table.GetTensorData<int64_t>(), nullptr, shape[0], shape[1]};
  for (int64_t i = 0; i < axis.out * axis.taps; ++i) {
    if (axis.index[i] < -1 || axis.index[i] >= in) {
      Fail(std::string(index.name) + ": expected -1 to " + std::to_string(in - 1) + ", found " +
           std::to_string(axis.index[i]));
    }
  }
  return axis;
}

ResampleAxis ReadResampleAxis(const Ort::KernelContext& context, const Input& index, const Input& weight, int64_t in) {
  ResampleAxis axis = ReadResampleAxis(context, index, in);
  const Ort::ConstValue weights = context.GetInput(weight.index);
  const std::vector<int64_t> shape = {axis.out, axis.taps};
  if (ShapeOf(weights) != shape) {
    Fail(std::string(weight.name) + ": expected the shape of " + index.name + ", " + ShapeText(shape));
  }
  axis.weight = weights.GetTensorData<float>();
  return axis;
}

float* WriteValues(Ort::KernelContext& context, int64_t rows, int64_t channels) {
  return context.GetOutput(0, {rows, channels}).GetTensorMutableData<float>();
}

Box* WriteBoxes(Ort::KernelContext& context, int64_t count) {
  return reinterpret_cast<Box*>(context.GetOutput(0, {count, 4}).GetTensorMutableData<int32_t>());
}

void CheckInside(const BoxList& hull, const std::vector<BoxList>& parts) {
  for (const BoxList& part : parts) CheckSameCount(part, hull, "boxes", "y_boxes");
  for (int64_t b = 0; b < hull.count; ++b) {
    Box expected{0, 0, 0, 0};
    for (const BoxList& part : parts) expected = Hull(expected, part[b]);
    const Box& found = hull[b];
    const bool inside = found.empty() || (found.y0 >= expected.y0 && found.x0 >= expected.x0 &&
                                          found.y1() <= expected.y1() && found.x1() <= expected.x1());
    if (!inside) {
      Fail("y_boxes: box " + std::to_string(b) + " is " + BoxText(found) + ", expected one inside the inputs' hull " +
           BoxText(expected));
    }
  }
}

void CheckSameCount(const BoxList& a, const BoxList& b, const char* a_name, const char* b_name) {
  if (a.count != b.count) {
    Fail(std::string(a_name) + " has " + std::to_string(a.count) + " boxes, " + b_name + " has " +
         std::to_string(b.count));
  }
}

void CheckMap(const BaseMap& map, const Input& input, MapShape shape, int64_t channels, int64_t depth) {
  if (map.h != shape.h || map.w != shape.w || map.channels != channels || map.depth != depth) {
    Fail(std::string(input.name) + ": expected " + MapText(shape, channels, depth) + ", found " +
         MapText({map.h, map.w}, map.channels, map.depth));
  }
}

void CheckSlices(const BoxList& boxes, const Input& input, int64_t depth) {
  if (boxes.count % depth != 0) {
    Fail(std::string(input.name) + ": expected " + std::to_string(depth) + " boxes a position, one a slice; found " +
         std::to_string(boxes.count) + " in all");
  }
}

void CheckPositions(const DepthWindow& depth, const BoxList& x_boxes, const Input& x_input, const BoxList& y_boxes,
                    const Input& y_input) {
  const int64_t in = depth.axis.in, out = depth.axis.out;
  CheckSlices(x_boxes, x_input, in);
  CheckSlices(y_boxes, y_input, out);
  if (x_boxes.count / in != y_boxes.count / out) {
    Fail(std::string(x_input.name) + " has " + std::to_string(x_boxes.count / in) + " positions, " + y_input.name +
         " has " + std::to_string(y_boxes.count / out));
  }
}

}  // namespace krypton
