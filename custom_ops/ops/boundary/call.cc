#include "ops/boundary/call.h"

#include <utility>

namespace krypton {

OcclusionCall ReadOcclusionCall(const Ort::KernelContext& context) {
  using In = OcclusionDeltaInputs;
  const BaseMap image = ReadBaseMap(context, In::image), baseline = ReadBaseMap(context, In::baseline);
  CheckMap(baseline, In::baseline, {image.h, image.w}, image.channels, image.depth);
  const Values patches = ReadValues(context, In::patches);
  const Ort::ConstValue mask_value = context.GetInput(In::mask.index);
  const std::vector<int64_t> mask_shape = mask_value.GetTensorTypeAndShapeInfo().GetShape();
  if (mask_shape.size() != 1) Fail("mask: expected rank 1, found shape " + ShapeText(mask_shape));
  const int64_t mask_rows = mask_shape[0];
  const bool* mask = mask_value.GetTensorData<bool>();
  const BoxList boxes = ReadBoxes(context, In::boxes, {image.h, image.w});
  CheckSlices(boxes, In::boxes, image.depth);
  const int64_t* offsets = ReadOffsets(context, In::offsets, boxes.count);
  if (patches.rows > 0 && patches.channels != image.channels) Fail("patches: expected the image's channels");
  for (int64_t b = 0; b < boxes.count; ++b) {
    const int64_t area = boxes[b].area();
    const auto fits = [&](int64_t rows) { return rows == 0 || (offsets[b] >= 0 && offsets[b] <= rows - area); };
    if (area > 0 && !(fits(patches.rows) && fits(mask_rows))) Fail("offsets: outside patches or mask");
  }
  return {image, baseline, patches, mask, mask_rows, boxes, offsets};
}

BaseMapAttributes ReadBaseMapAttributes(const Ort::ConstKernelInfo& info) {
  return {RequiredAttribute<std::string>(info, "layout"), AttributeOr<std::string>(info, "tensor_name", ""),
          AttributeOr<int64_t>(info, "finite", 1) != 0};
}

BaseMapCall ReadBaseMapCall(const Ort::KernelContext& context, const std::string& layout) {
  const Ort::ConstValue tensor = context.GetInput(BaseMapInputs::tensor.index);
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

bool ReadOfValues(const Ort::ConstKernelInfo& info) {
  const std::string of = AttributeOr<std::string>(info, "of", "delta");
  if (of != "delta" && of != "values") Fail("attribute of: expected delta or values, found " + of);
  return of == "values";
}

RowValuesCall ReadRowValuesCall(const Ort::KernelContext& context) {
  using In = RowValuesInputs;
  RowValuesCall call{{}, {}, ReadBaseMap(context, In::X0), {}, {nullptr, 0, 0}, nullptr};
  const MapShape map{call.base.h, call.base.w};
  call.y_boxes = ReadBoxes(context, In::y_boxes, map);
  CheckSlices(call.y_boxes, In::y_boxes, call.base.depth);
  if (IsGiven(context, In::X)) {
    if (!IsGiven(context, In::x_boxes)) Fail("x_boxes: expected the boxes of X");
    call.x_boxes = ReadBoxes(context, In::x_boxes, map);
    CheckSameCount(call.x_boxes, call.y_boxes, "x_boxes", "y_boxes");
    call.x = ReadValues(context, In::X, call.x_boxes);
    CheckMap(call.base, In::X0, map, call.x.channels, call.base.depth);
  }
  if (IsGiven(context, In::known)) {
    if (!IsGiven(context, In::XB)) Fail("XB: expected the baseline's map");
    call.known = ReadRowFlags(context, In::known, call.y_boxes.rows());
    call.baseline = ReadBaseMap(context, In::XB);
    CheckMap(call.baseline, In::XB, map, call.base.channels, call.base.depth);
  }
  return call;
}

RowDeltaCall ReadRowDeltaCall(const Ort::KernelContext& context) {
  using In = RowDeltaInputs;
  DeltaOnBase rows = ReadDeltaOnBase(context, In::V, In::boxes, In::Y0);
  const bool* changed = ReadRowFlags(context, In::changed, rows.d.rows);
  return {std::move(rows), changed};
}

DeltaLimitCall ReadDeltaLimitCall(const Ort::KernelContext& context, int64_t layer_group) {
  using In = DeltaLimitInputs;
  const float eps = ReadEps(context, In::eps, layer_group);
  const Ort::ConstValue tensor = context.GetInput(In::tensor.index);
  const auto count = static_cast<int64_t>(tensor.GetTensorTypeAndShapeInfo().GetElementCount());
  return {eps, tensor.GetTensorData<float>(), count};
}

}  // namespace krypton
