// The calls of ops that bring pixel rows to other places, read and checked once for the kernels of CPU and GPU.
#pragma once

#include <vector>

#include "op/attributes.h"
#include "op/inputs.h"
#include "op/parts.h"

namespace krypton {

struct IncrementalPadInputs {
  static constexpr Input X{0, "X", kFloat}, x_boxes{1, "x_boxes", kInt32}, y_boxes{2, "y_boxes", kInt32};
  static constexpr Input kAll[] = {X, x_boxes, y_boxes};
};

struct IncrementalTransposeInputs {
  static constexpr Input X{0, "X", kFloat}, x_boxes{1, "x_boxes", kInt32}, y_boxes{2, "y_boxes", kInt32};
  static constexpr Input kAll[] = {X, x_boxes, y_boxes};
};

struct IncrementalResampleInputs {
  static constexpr Input X{0, "X", kFloat}, x_boxes{1, "x_boxes", kInt32}, y_boxes{2, "y_boxes", kInt32},
      y_index{3, "y_index", kInt64}, y_weight{4, "y_weight", kFloat}, x_index{5, "x_index", kInt64},
      x_weight{6, "x_weight", kFloat}, limit{7, "limit", kFloatOptional};
  static constexpr Input kAll[] = {X, x_boxes, y_boxes, y_index, y_weight, x_index, x_weight, limit};
};

struct IncrementalConcatInputs {
  static constexpr Input y_boxes{0, "y_boxes", kInt32}, x_boxes{1, "x_boxes", kInt32}, X{2, "X", kFloatVariadic};
  static constexpr Input kAll[] = {y_boxes, x_boxes, X};
};

struct DepthGatherInputs {
  static constexpr Input X{0, "X", kFloat}, x_boxes{1, "x_boxes", kInt32}, y_boxes{2, "y_boxes", kInt32};
  static constexpr Input kAll[] = {X, x_boxes, y_boxes};
};

struct PadAttributes {
  int64_t down, right;
  MapShape output;
};
PadAttributes ReadPadAttributes(const Ort::ConstKernelInfo& info);

struct PadCall {
  BoxList x_boxes, y_boxes;
  Values x;
};
PadCall ReadPadCall(const Ort::KernelContext& context, const PadAttributes& attributes);

// Attribute input_shape of Resample and Transpose.
inline MapShape ReadInputShape(const Ort::ConstKernelInfo& info) {
  const std::vector<int64_t> shape = ReadSize(info, "input_shape");
  return {shape[0], shape[1]};
}

PadCall ReadTransposeCall(const Ort::KernelContext& context, MapShape input);

struct ResampleCall {
  ResampleAxis ys, xs;
  BoxList x_boxes, y_boxes;
  Values d;
};
ResampleCall ReadResampleCall(const Ort::KernelContext& context, MapShape input);

struct ConcatCall {
  BoxList y_boxes;
  Parts parts;
};
ConcatCall ReadConcatCall(const Ort::KernelContext& context);

struct GatherAttributes {
  DepthWindow depth;
  int64_t groups;
};
GatherAttributes ReadGatherAttributes(const Ort::ConstKernelInfo& info);

struct GatherCall {
  Values x;
  BoxList x_boxes, y_boxes;
};
GatherCall ReadGatherCall(const Ort::KernelContext& context, const GatherAttributes& attributes);

}  // namespace krypton
