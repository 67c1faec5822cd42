// The calls of ops that see a pixel's whole row of channels, read and checked once for the kernels of CPU and GPU.
#pragma once

#include "math/row_functions.h"
#include "op/attributes.h"
#include "op/delta_on_base.h"

namespace krypton {

struct IncrementalLRNInputs {
  static constexpr Input X{0, "X", kFloat}, boxes{1, "boxes", kInt32}, Z0{2, "Z0", kFloat},
      limit{3, "limit", kFloatOptional};
  static constexpr Input kAll[] = {X, boxes, Z0, limit};
};

struct IncrementalSoftmaxInputs {
  static constexpr Input X{0, "X", kFloat}, boxes{1, "boxes", kInt32}, Z0{2, "Z0", kFloat},
      limit{3, "limit", kFloatOptional};
  static constexpr Input kAll[] = {X, boxes, Z0, limit};
};

struct IncrementalReduceChannelsInputs {
  static constexpr Input X{0, "X", kFloat}, boxes{1, "boxes", kInt32}, Z0{2, "Z0", kFloat},
      limit{3, "limit", kFloatOptional};
  static constexpr Input kAll[] = {X, boxes, Z0, limit};
};

LrnParameters ReadLrn(const Ort::ConstKernelInfo& info);
Reduction ReadReduction(const Ort::ConstKernelInfo& info);

inline bool ReadLogarithm(const Ort::ConstKernelInfo& info) { return AttributeOr<int64_t>(info, "logarithm", 0) != 0; }

// The call of a function that is not defined on rows of no channels.
DeltaOnBase ReadSoftmaxCall(const Ort::KernelContext& context);
DeltaOnBase ReadReduceChannelsCall(const Ort::KernelContext& context);

}  // namespace krypton
