#include "op/inputs.h"

#include <algorithm>
#include <string>

namespace krypton {
namespace {

Ort::ConstValue Input(const Ort::KernelContext& context, size_t index, const char* name, ONNXTensorElementDataType type,
                      size_t rank) {
  Ort::ConstValue value = context.GetInput(index);
  if (!value) Fail(std::string(name) + ": missing");
  const auto info = value.GetTensorTypeAndShapeInfo();
  if (info.GetElementType() != type) Fail(std::string(name) + ": unexpected element type");
  const std::vector<int64_t> shape = info.GetShape();
  if (shape.size() != rank) {
    Fail(std::string(name) + ": expected rank " + std::to_string(rank) + ", found shape " + ShapeText(shape));
  }
  return value;
}

std::string MapText(MapShape shape, int64_t channels, int64_t depth) {
  return depth == 1 ? ShapeText({shape.h, shape.w, channels}) : ShapeText({depth, shape.h, shape.w, channels});
}

std::string BoxText(const Box& box) { return ShapeText({box.y0, box.x0, box.h, box.w}); }

}  // namespace

void Fail(const std::string& message) {
  constexpr size_t kLongest = 500;  // a name or an attribute in it may be of any length
  const bool fits = message.size() <= kLongest;
  throw Ort::Exception(fits ? std::string(message) : message.substr(0, kLongest) + "...", ORT_INVALID_ARGUMENT);
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? "," : "") + std::to_string(shape[i]);
  return text + "]";
}

VolumeShape ReadMapShape(const Ort::ConstKernelInfo& info) {
  std::vector<int64_t> shape;
  try {
    shape = info.GetAttributes<int64_t>("input_shape");
  } catch (const Ort::Exception&) {  // missing, or of another type: no entries
  }
  constexpr int64_t kLimit = int64_t{1} << 20;
  const bool sized = std::all_of(shape.begin(), shape.end(), [](int64_t n) { return n >= 1 && n <= kLimit; });
  if (!sized || (shape.size() != 2 && shape.size() != 3)) {
    Fail("attribute input_shape: expected the size of a map, [H,W] or [D,H,W], found " + ShapeText(shape));
  }
  const size_t first = shape.size() - 2;
  return {{shape[first], shape[first + 1]}, first == 0 ? 1 : shape[0]};
}

BoxList ReadBoxes(const Ort::KernelContext& context, size_t index, const char* name) {
  // The largest map an int32 box can lie on; ops that know their map pass it.
  return ReadBoxes(context, index, name, {INT32_MAX, INT32_MAX});
}

BoxList ReadBoxes(const Ort::KernelContext& context, size_t index, const char* name, MapShape map) {
  const Ort::ConstValue value = Input(context, index, name, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32, 2);
  const std::vector<int64_t> shape = value.GetTensorTypeAndShapeInfo().GetShape();
  if (shape[1] != 4) Fail(std::string(name) + ": expected shape [B,4], found " + ShapeText(shape));
  BoxList boxes;
  boxes.data = reinterpret_cast<const Box*>(value.GetTensorData<int32_t>());
  boxes.count = shape[0];
  boxes.offsets.resize(static_cast<size_t>(boxes.count) + 1);
  boxes.offsets[0] = 0;
  for (int64_t b = 0; b < boxes.count; ++b) {
    const Box& box = boxes[b];
    if (box.y0 < 0 || box.x0 < 0 || box.h < 0 || box.w < 0 || box.y1() > map.h || box.x1() > map.w) {
      Fail(std::string(name) + ": box " + std::to_string(b) + " = (y0,x0,h,w) " + BoxText(box) +
           " does not lie inside the map of " + ShapeText({map.h, map.w}));
    }
    // Rows are counted in int64 and bounded by the values tensor, so the sum cannot wrap before it is compared.
    if (boxes.offsets[b] > (INT64_MAX >> 2) - box.area()) Fail(std::string(name) + ": boxes hold too many pixels");
    boxes.offsets[b + 1] = boxes.offsets[b] + box.area();
  }
  return boxes;
}

Values ReadValues(const Ort::KernelContext& context, size_t index, const char* name) {
  const Ort::ConstValue value = Input(context, index, name, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, 2);
  const std::vector<int64_t> shape = value.GetTensorTypeAndShapeInfo().GetShape();
  return {value.GetTensorData<float>(), shape[0], shape[1]};
}

Values ReadValues(const Ort::KernelContext& context, size_t index, const char* name, const BoxList& boxes) {
  const Values values = ReadValues(context, index, name);
  if (values.rows != boxes.rows()) {
    Fail(std::string(name) + ": expected " + std::to_string(boxes.rows()) + " rows (the pixels of its boxes), found " +
         std::to_string(values.rows));
  }
  return values;
}

BaseMap ReadBaseMap(const Ort::KernelContext& context, size_t index, const char* name) {
  const size_t rank = context.GetInput(index).GetTensorTypeAndShapeInfo().GetDimensionsCount();
  const bool volume = rank == 4;
  const Ort::ConstValue value = Input(context, index, name, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, volume ? 4 : 3);
  const std::vector<int64_t> shape = value.GetTensorTypeAndShapeInfo().GetShape();
  if (!volume) return {value.GetTensorData<float>(), shape[0], shape[1], shape[2]};
  if (shape[0] < 1) Fail(std::string(name) + ": expected at least one slice, found shape " + ShapeText(shape));
  return {value.GetTensorData<float>(), shape[1], shape[2], shape[3], shape[0]};
}

const float* ReadPerChannel(const Ort::KernelContext& context, size_t index, const char* name, int64_t channels) {
  const Ort::ConstValue value = context.GetInput(index);
  if (value.GetTensorTypeAndShapeInfo().GetShape() != std::vector<int64_t>{channels}) {
    Fail(std::string(name) + ": expected " + std::to_string(channels) + " values, one a channel");
  }
  return value.GetTensorData<float>();
}

float* WriteValues(Ort::KernelContext& context, size_t index, int64_t rows, int64_t channels) {
  return context.GetOutput(index, {rows, channels}).GetTensorMutableData<float>();
}

Box* WriteBoxes(Ort::KernelContext& context, size_t index, int64_t count) {
  return reinterpret_cast<Box*>(context.GetOutput(index, {count, 4}).GetTensorMutableData<int32_t>());
}

Box Hull(const Box& a, const Box& b) {
  if (a.empty()) return b;
  if (b.empty()) return a;
  const int32_t y0 = std::min(a.y0, b.y0), x0 = std::min(a.x0, b.x0);
  return {y0, x0, static_cast<int32_t>(std::max(a.y1(), b.y1()) - y0),
          static_cast<int32_t>(std::max(a.x1(), b.x1()) - x0)};
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

void CheckMap(const BaseMap& map, const char* name, MapShape shape, int64_t channels, int64_t depth) {
  if (map.h != shape.h || map.w != shape.w || map.channels != channels || map.depth != depth) {
    Fail(std::string(name) + ": expected " + MapText(shape, channels, depth) + ", found " +
         MapText({map.h, map.w}, map.channels, map.depth));
  }
}

void CheckSlices(const BoxList& boxes, const char* name, int64_t depth) {
  if (boxes.count % depth != 0) {
    Fail(std::string(name) + ": expected " + std::to_string(depth) + " boxes a position, one a slice; found " +
         std::to_string(boxes.count) + " in all");
  }
}

}  // namespace krypton
