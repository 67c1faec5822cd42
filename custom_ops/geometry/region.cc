#include "geometry/region.h"

#include <iterator>
#include <string>

#include "op/inputs.h"

namespace krypton {
namespace {

constexpr const char* kNames[] = {"(x0,w)", "(y0,x0,h,w)", "(z0,y0,x0,d,h,w)"};

bool LiesInside(const Region& region, const std::vector<int64_t>& image) {
  for (size_t axis = 0; axis < region.axes; ++axis) {
    const int64_t start = region.start(axis), size = region.size(axis);
    if (start < 0 || size < 0 || start + size > image[axis]) return false;
  }
  return true;
}

}  // namespace

bool Region::empty() const {
  for (size_t axis = 0; axis < axes; ++axis) {
    if (size(axis) <= 0) return true;
  }
  return false;
}

std::vector<int64_t> ReadImageShape(const Ort::ConstKernelInfo& info) {
  const std::vector<int64_t> shape = info.GetAttributes<int64_t>("image_shape");
  if (shape.empty() || shape.size() > std::size(kNames)) Fail("attribute image_shape: expected 1 to 3 sizes");
  for (int64_t size : shape) {
    if (size < 1 || size > (int64_t{1} << 20)) Fail("attribute image_shape: sizes must be positive");
  }
  return shape;
}

RegionList ReadRegions(const Ort::KernelContext& context, size_t index, const char* name,
                       const std::vector<int64_t>& image) {
  const Ort::ConstValue value = context.GetInput(index);
  const auto info = value.GetTensorTypeAndShapeInfo();
  const std::vector<int64_t> shape = info.GetShape();
  const size_t axes = image.size();
  if (info.GetElementType() != ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32 || shape.size() != 2 ||
      shape[1] != static_cast<int64_t>(2 * axes)) {
    Fail(std::string(name) + ": expected int32 [B," + std::to_string(2 * axes) + "], found shape " + ShapeText(shape));
  }
  RegionList regions{value.GetTensorData<int32_t>(), shape[0], axes, {0}};
  regions.offsets.reserve(static_cast<size_t>(regions.count) + 1);
  for (int64_t b = 0; b < regions.count; ++b) {
    const Region region = regions[b];
    if (!LiesInside(region, image)) {
      Fail(std::string(name) + ": box " + std::to_string(b) + " = " + kNames[axes - 1] + " " +
           ShapeText(std::vector<int64_t>(region.numbers, region.numbers + 2 * axes)) +
           " does not lie inside the image of " + ShapeText(image));
    }
    int64_t pixels = 1;
    for (size_t axis = 0; axis < axes; ++axis) pixels *= region.size(axis);
    if (regions.offsets[b] > (INT64_MAX >> 2) - pixels) Fail(std::string(name) + ": boxes hold too many pixels");
    regions.offsets.push_back(regions.offsets[b] + pixels);
  }
  return regions;
}

}  // namespace krypton
