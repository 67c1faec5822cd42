#include "op/thresholds.h"

#include <cmath>
#include <string>

#include "op/inputs.h"

namespace krypton {

float ReadThreshold(const Ort::KernelContext& context, size_t index, const char* name, int64_t group) {
  const Ort::ConstValue value = context.GetInput(index);
  const std::vector<int64_t> shape = value.GetTensorTypeAndShapeInfo().GetShape();
  if (shape.size() != 1 || (shape[0] != 1 && (group < 0 || group >= shape[0]))) {
    Fail(std::string(name) + ": expected 1 value or one for each layer group, found " + ShapeText(shape) +
         " for group " + std::to_string(group));
  }
  return value.GetTensorData<float>()[shape[0] == 1 ? 0 : group];
}

float ReadEps(const Ort::KernelContext& context, size_t index, int64_t group) {
  const float eps = ReadThreshold(context, index, "eps", group);
  if (!(eps >= 0) || !std::isfinite(eps)) Fail("eps: expected 0 (exact) or more, found " + std::to_string(eps));
  return eps;
}

DeltaLimit::DeltaLimit(const Ort::KernelContext& context, size_t index) {
  if (context.GetInputCount() <= index || !context.GetInput(index)) return;
  limit_ = ReadThreshold(context, index, "limit", -1);
  if (!(limit_ >= 0) || !std::isfinite(limit_)) {
    Fail("limit: expected 0 (exact) or more, found " + std::to_string(limit_));
  }
}

}  // namespace krypton
