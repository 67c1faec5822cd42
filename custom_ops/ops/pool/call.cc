#include "ops/pool/call.h"

#include <utility>

namespace krypton {
namespace {

// The inputs that come first.
template <class In>
PoolCall ReadPoolCall(const Ort::KernelContext& context, const PoolWindow& window) {
  BoxList x_boxes = ReadBoxes(context, In::x_boxes, window.map.input());
  BoxList y_boxes = ReadBoxes(context, In::y_boxes, window.map.output());
  CheckPositions(window.depth, x_boxes, In::x_boxes, y_boxes, In::y_boxes);
  const Values d = ReadValues(context, In::X, x_boxes);
  return {std::move(x_boxes), std::move(y_boxes), d, {}, {}};
}

}  // namespace

PoolWindow ReadPoolWindow(const Ort::ConstKernelInfo& info) { return {ReadWindow(info), ReadDepth(info)}; }

Norm ReadNorm(const Ort::ConstKernelInfo& info) {
  const Norm norm{AttributeOr<int64_t>(info, "p", 2)};
  if (norm.p < 1) Fail("attribute p: expected at least 1");
  return norm;
}

PoolCall ReadMaxPoolCall(const Ort::KernelContext& context, const PoolWindow& window) {
  using In = IncrementalMaxPoolInputs;
  PoolCall call = ReadPoolCall<In>(context, window);
  call.x0 = ReadBaseMap(context, In::X0), call.y0 = ReadBaseMap(context, In::Y0);
  CheckMap(call.x0, In::X0, window.map.input(), call.d.channels, window.depth.axis.in);
  CheckMap(call.y0, In::Y0, window.map.output(), call.d.channels, window.depth.axis.out);
  return call;
}

PoolCall ReadLpPoolCall(const Ort::KernelContext& context, const PoolWindow& window) {
  using In = IncrementalLpPoolInputs;
  PoolCall call = ReadPoolCall<In>(context, window);
  call.x0 = ReadBaseMap(context, In::X0);
  CheckMap(call.x0, In::X0, window.map.input(), call.d.channels, window.depth.axis.in);
  return call;
}

PoolCall ReadAveragePoolCall(const Ort::KernelContext& context, const PoolWindow& window) {
  return ReadPoolCall<IncrementalAveragePoolInputs>(context, window);
}

GlobalAverageCall ReadGlobalAverageCall(const Ort::KernelContext& context, const VolumeShape& map) {
  using In = IncrementalGlobalAveragePoolInputs;
  BoxList boxes = ReadBoxes(context, In::boxes, map.slice);
  CheckSlices(boxes, In::boxes, map.depth);
  const Values d = ReadValues(context, In::X, boxes);
  return {std::move(boxes), d};
}

}  // namespace krypton
