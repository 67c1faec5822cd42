// The calls of convolutions and matrix products, read and checked: every kernel, the CPU's and the GPU's, takes its
// inputs from here and refuses the same.
#pragma once

#include <string>
#include <vector>

#include "op/attributes.h"
#include "op/inputs.h"
#include "op/parts.h"

namespace krypton {

struct IncrementalConvInputs {
  static constexpr Input X{0, "X", kFloat}, x_boxes{1, "x_boxes", kInt32}, y_boxes{2, "y_boxes", kInt32},
      W{3, "W", kFloat}, Z0{4, "Z0", kFloatOptional}, B{5, "B", kFloatOptional}, b_boxes{6, "b_boxes", kInt32Optional},
      limit{7, "limit", kFloatOptional};
  static constexpr Input kAll[] = {X, x_boxes, y_boxes, W, Z0, B, b_boxes, limit};
};

struct IncrementalConcatConvInputs {
  static constexpr Input y_boxes{0, "y_boxes", kInt32}, x_boxes{1, "x_boxes", kInt32}, W{2, "W", kFloat},
      X0{3, "X0", kFloatOptional}, scale{4, "scale", kFloatOptional}, x_limit{5, "x_limit", kFloatOptional},
      Z0{6, "Z0", kFloatOptional}, limit{7, "limit", kFloatOptional}, X{8, "X", kFloatVariadic};
  static constexpr Input kAll[] = {y_boxes, x_boxes, W, X0, scale, x_limit, Z0, limit, X};
};

struct IncrementalGemmInputs {
  static constexpr Input X{0, "X", kFloat}, boxes{1, "boxes", kInt32}, W{2, "W", kFloat};
  static constexpr Input kAll[] = {X, boxes, W};
};

// A convolution by W [M, C/group, kH, kW]; of signals without kH, of volumes with a kD in front, whose slices lie side
// by side in the channels of X (DepthGather).
struct ConvShape {
  int64_t channels, groups, depth, maps, maps_per_group;  // C, G, C/G, M, M/G
  int64_t slices = 1;  // of volumes, that one output slice reads: C counts the channels of all of them
  bool depthwise() const { return depth == 1 && groups == channels && maps == channels; }
};

// The lowest that a convolution may multiply in (krypton_compile's schemas).
enum class Precision { kFloat32, kBfloat16x3, kBfloat16 };

struct ConvAttributes {
  Window window;
  int64_t groups, slices;  // output slices a position, of volumes
  Bounds bounds;           // of the clip rule
  Precision precision;
};
ConvAttributes ReadConvAttributes(const Ort::ConstKernelInfo& info);

struct ConvCall {
  Values x;
  BoxList x_boxes, y_boxes;
  const float* weights;
  std::vector<int64_t> weights_shape;
  ConvShape shape;
  BaseMap z;          // data is null where no clip rule follows
  bool adds = false;  // another delta
  Values b;
  BoxList b_boxes;
};
ConvCall ReadConvCall(const Ort::KernelContext& context, const ConvAttributes& attributes);

struct ConcatConvAttributes {
  ConvAttributes conv;  // a window of one pixel
  Bounds x_bounds;      // of the clip rule in front
};
ConcatConvAttributes ReadConcatConvAttributes(const Ort::ConstKernelInfo& info);

struct ConcatConvCall {
  BoxList y_boxes;
  Parts parts;
  const float* weights;
  std::vector<int64_t> weights_shape;
  ConvShape shape;
  BaseMap x0;          // data is null where no clip rule comes first
  const float* scale;  // null for none
  BaseMap z;           // data is null where no clip rule follows
};
ConcatConvCall ReadConcatConvCall(const Ort::KernelContext& context);

struct GemmCall {
  Values x;
  BoxList boxes;
  Values w;  // [pixels * C, N]
};
GemmCall ReadGemmCall(const Ort::KernelContext& context, const VolumeShape& map);

}  // namespace krypton
