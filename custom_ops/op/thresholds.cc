#include "op/thresholds.h"

#include <cmath>
#include <string>

#include "op/fail.h"

namespace krypton {
namespace {

// Fails unless the threshold is a finite number from 0 on.
float NotNegative(const Input& input, float value) {
  if (!(value >= 0) || !std::isfinite(value)) {
    Fail(std::string(input.name) + ": expected 0 (exact) or more, found " + std::to_string(value));
  }
  return value;
}

}  // namespace

float ReadThreshold(const Ort::KernelContext& context, const Input& input, int64_t group) {
  const Ort::ConstValue value = context.GetInput(input.index);
  const std::vector<int64_t> shape = value.GetTensorTypeAndShapeInfo().GetShape();
  if (shape.size() != 1 || (shape[0] != 1 && (group < 0 || group >= shape[0]))) {
    Fail(std::string(input.name) + ": expected 1 value or one for each layer group, found " + ShapeText(shape) +
         " for group " + std::to_string(group));
  }
  return value.GetTensorData<float>()[shape[0] == 1 ? 0 : group];
}

float ReadEps(const Ort::KernelContext& context, const Input& input, int64_t group) {
  return NotNegative(input, ReadThreshold(context, input, group));
}

DeltaLimit::DeltaLimit(const Ort::KernelContext& context, const Input& input) {
  if (IsGiven(context, input)) limit_ = NotNegative(input, ReadThreshold(context, input, -1));
}

}  // namespace krypton
