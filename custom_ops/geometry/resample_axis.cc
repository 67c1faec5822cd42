#include "geometry/resample_axis.h"

#include <algorithm>

namespace krypton {

ResampleAxis ReadResampleAxis(const Ort::KernelContext& context, int index, int weight, const char* name, int64_t in) {
  const Ort::ConstValue table = context.GetInput(static_cast<size_t>(index));
  const std::vector<int64_t> shape = table.GetTensorTypeAndShapeInfo().GetShape();
  if (shape.size() != 2) Fail(std::string(name) + "_index: expected [outputs, taps], found " + ShapeText(shape));
  ResampleAxis axis{table.GetTensorData<int64_t>(), nullptr, shape[0], shape[1]};
  for (int64_t i = 0; i < axis.out * axis.taps; ++i) {
    if (axis.index[i] < -1 || axis.index[i] >= in) {
      Fail(std::string(name) + "_index: expected -1 to " + std::to_string(in - 1) + ", found " +
           std::to_string(axis.index[i]));
    }
  }
  if (weight < 0) return axis;
  const Ort::ConstValue weights = context.GetInput(static_cast<size_t>(weight));
  if (weights.GetTensorTypeAndShapeInfo().GetShape() != shape) {
    Fail(std::string(name) + "_weight: expected the shape of " + name + "_index, " + ShapeText(shape));
  }
  axis.weight = weights.GetTensorData<float>();
  return axis;
}

Readers::Readers(const ResampleAxis& axis) {
  int64_t size = 0;
  for (int64_t i = 0; i < axis.out * axis.taps; ++i) size = std::max(size, axis.index[i] + 1);
  first.assign(static_cast<size_t>(size), axis.out);
  last.assign(static_cast<size_t>(size), 0);
  for (int64_t o = 0; o < axis.out; ++o) {
    for (int64_t t = 0; t < axis.taps; ++t) {
      const int64_t i = axis.at(o, t);
      if (i < 0) continue;
      first[i] = std::min(first[i], o);
      last[i] = std::max(last[i], o + 1);
    }
  }
}

}  // namespace krypton
