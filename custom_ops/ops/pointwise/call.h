// The calls of ops that keep each pixel where it is, read and checked once for the kernels of CPU and GPU.
#pragma once

#include "math/binary.h"
#include "math/functions.h"
#include "op/attributes.h"
#include "op/delta_on_base.h"

namespace krypton {

struct IncrementalClipInputs {
  static constexpr Input X{0, "X", kFloat}, boxes{1, "boxes", kInt32}, Z0{2, "Z0", kFloat},
      limit{3, "limit", kFloatOptional}, scale{4, "scale", kFloatOptional};
  static constexpr Input kAll[] = {X, boxes, Z0, limit, scale};
};

struct IncrementalActivationInputs {
  static constexpr Input X{0, "X", kFloat}, boxes{1, "boxes", kInt32}, Z0{2, "Z0", kFloat},
      limit{3, "limit", kFloatOptional};
  static constexpr Input kAll[] = {X, boxes, Z0, limit};
};

struct IncrementalScaleInputs {
  static constexpr Input X{0, "X", kFloat}, scale{1, "scale", kFloat}, limit{2, "limit", kFloatOptional};
  static constexpr Input kAll[] = {X, scale, limit};
};

struct IncrementalAddInputs {
  static constexpr Input A{0, "A", kFloat}, a_boxes{1, "a_boxes", kInt32}, B{2, "B", kFloat},
      b_boxes{3, "b_boxes", kInt32}, y_boxes{4, "y_boxes", kInt32}, limit{5, "limit", kFloatOptional};
  static constexpr Input kAll[] = {A, a_boxes, B, b_boxes, y_boxes, limit};
};

struct IncrementalBinaryInputs {
  static constexpr Input A{0, "A", kFloat}, a_boxes{1, "a_boxes", kInt32}, A0{2, "A0", kFloat}, B0{3, "B0", kFloat},
      y_boxes{4, "y_boxes", kInt32}, B{5, "B", kFloatOptional}, b_boxes{6, "b_boxes", kInt32Optional},
      limit{7, "limit", kFloatOptional};
  static constexpr Input kAll[] = {A, a_boxes, A0, B0, y_boxes, B, b_boxes, limit};
};

Activation ReadActivation(const Ort::ConstKernelInfo& info);

// The factors of an IncrementalClip, one a channel; null without them.
const float* ReadClipScale(const Ort::KernelContext& context, int64_t channels);

struct ScaleCall {
  Values x;
  const float* scale;
};
ScaleCall ReadScaleCall(const Ort::KernelContext& context);

struct AddCall {
  BoxList a_boxes, b_boxes, y_boxes;
  Values a, b;
};
AddCall ReadAddCall(const Ort::KernelContext& context);

struct BinaryAttributes {
  Binary function;
  bool swapped;  // f(B, A)
};
BinaryAttributes ReadBinaryAttributes(const Ort::ConstKernelInfo& info);

// One side of IncrementalBinary: its base, and its delta where it has one.
struct Operand {
  BaseMap base;
  bool moves;
  BoxList boxes;
  Values d;
};

// Operands may have one channel for all, and one that is constant one row or column too.
struct BinaryCall {
  Operand a, b;
  BoxList y_boxes;
  int64_t channels;
};
BinaryCall ReadBinaryCall(const Ort::KernelContext& context);

}  // namespace krypton
