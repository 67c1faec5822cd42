// The calls of pools, read and checked once for the kernels of CPU and GPU.
#pragma once

#include "math/norm.h"
#include "op/attributes.h"
#include "op/delta_on_base.h"

namespace krypton {

struct IncrementalMaxPoolInputs {
  static constexpr Input X{0, "X", kFloat}, x_boxes{1, "x_boxes", kInt32}, y_boxes{2, "y_boxes", kInt32},
      X0{3, "X0", kFloat}, Y0{4, "Y0", kFloat}, limit{5, "limit", kFloatOptional};
  static constexpr Input kAll[] = {X, x_boxes, y_boxes, X0, Y0, limit};
};

struct IncrementalLpPoolInputs {
  static constexpr Input X{0, "X", kFloat}, x_boxes{1, "x_boxes", kInt32}, y_boxes{2, "y_boxes", kInt32},
      X0{3, "X0", kFloat}, limit{4, "limit", kFloatOptional};
  static constexpr Input kAll[] = {X, x_boxes, y_boxes, X0, limit};
};

struct IncrementalAveragePoolInputs {
  static constexpr Input X{0, "X", kFloat}, x_boxes{1, "x_boxes", kInt32}, y_boxes{2, "y_boxes", kInt32},
      limit{3, "limit", kFloatOptional};
  static constexpr Input kAll[] = {X, x_boxes, y_boxes, limit};
};

struct IncrementalGlobalAveragePoolInputs {
  static constexpr Input X{0, "X", kFloat}, boxes{1, "boxes", kInt32};
  static constexpr Input kAll[] = {X, boxes};
};

struct IncrementalGlobalMaxPoolInputs {
  static constexpr Input X{0, "X", kFloat}, boxes{1, "boxes", kInt32}, X0{2, "X0", kFloat};
  static constexpr Input kAll[] = {X, boxes, X0};
};

// The window of a pool, of volumes with a depth.
struct PoolWindow {
  Window map;
  DepthWindow depth;
};
PoolWindow ReadPoolWindow(const Ort::ConstKernelInfo& info);

// Attribute p of LpPool.
Norm ReadNorm(const Ort::ConstKernelInfo& info);

// X0 is the base map before the pool, Y0 that behind it; data is null where an op has no such input.
struct PoolCall {
  BoxList x_boxes, y_boxes;
  Values d;
  BaseMap x0, y0;
};
PoolCall ReadMaxPoolCall(const Ort::KernelContext& context, const PoolWindow& window);
PoolCall ReadLpPoolCall(const Ort::KernelContext& context, const PoolWindow& window);
PoolCall ReadAveragePoolCall(const Ort::KernelContext& context, const PoolWindow& window);

struct GlobalAverageCall {
  BoxList boxes;
  Values d;
};
GlobalAverageCall ReadGlobalAverageCall(const Ort::KernelContext& context, const VolumeShape& map);

// IncrementalGlobalMaxPool has no more than a delta and its base map.
inline DeltaOnBase ReadGlobalMaxCall(const Ort::KernelContext& context) {
  using In = IncrementalGlobalMaxPoolInputs;
  return ReadDeltaOnBase(context, In::X, In::boxes, In::X0);
}

}  // namespace krypton
