// The calls of the ops between a caller's tensors and deltas, read and checked once for the kernels of CPU and GPU.
#pragma once

#include <string>
#include <vector>

#include "op/attributes.h"
#include "op/delta_on_base.h"

namespace krypton {

struct OcclusionChunksInputs {
  static constexpr Input boxes{0, "boxes", kInt32}, patches{1, "patches", kFloat}, mask{2, "mask", kBool},
      tau{3, "tau", kFloat}, eps{4, "eps", kFloat};
  static constexpr Input kAll[] = {boxes, patches, mask, tau, eps};
};

struct OcclusionDeltaInputs {
  static constexpr Input image{0, "image", kFloat}, baseline{1, "baseline", kFloat}, patches{2, "patches", kFloat},
      mask{3, "mask", kBool}, boxes{4, "boxes", kInt32}, offsets{5, "offsets", kInt64};
  static constexpr Input kAll[] = {image, baseline, patches, mask, boxes, offsets};
};

struct BaseMapInputs {
  static constexpr Input tensor{0, "tensor", kFloat};
  static constexpr Input kAll[] = {tensor};
};

struct DeltaLimitInputs {
  static constexpr Input tensor{0, "tensor", kFloat}, eps{1, "eps", kFloat};
  static constexpr Input kAll[] = {tensor, eps};
};

struct DensifyInputs {
  static constexpr Input X{0, "X", kFloat}, boxes{1, "boxes", kInt32}, T0{2, "T0", kFloat};
  static constexpr Input kAll[] = {X, boxes, T0};
};

struct RowValuesInputs {
  static constexpr Input y_boxes{0, "y_boxes", kInt32}, X0{1, "X0", kFloat}, X{2, "X", kFloatOptional},
      x_boxes{3, "x_boxes", kInt32Optional}, known{4, "known", kBoolOptional}, XB{5, "XB", kFloatOptional};
  static constexpr Input kAll[] = {y_boxes, X0, X, x_boxes, known, XB};
};

struct RowDeltaInputs {
  static constexpr Input V{0, "V", kFloat}, boxes{1, "boxes", kInt32}, changed{2, "changed", kBool},
      Y0{3, "Y0", kFloat}, limit{4, "limit", kFloatOptional};
  static constexpr Input kAll[] = {V, boxes, changed, Y0, limit};
};

// `mask` has as many entries as rows; both may be empty, and then the baseline is everywhere in the boxes.
struct OcclusionCall {
  BaseMap image, baseline;
  Values patches;
  const bool* mask;
  int64_t mask_rows;
  BoxList boxes;
  const int64_t* offsets;  // of each box's first row in patches and mask
};
OcclusionCall ReadOcclusionCall(const Ort::KernelContext& context);

struct BaseMapAttributes {
  std::string layout, tensor_name;
  bool finite;  // whether NaN and infinities are refused
};
BaseMapAttributes ReadBaseMapAttributes(const Ort::ConstKernelInfo& info);

// One image's tensor, which BaseMap gives as `shape`, [H, W, C] or [D, H, W, C].
struct BaseMapCall {
  const float* data;
  int64_t channels, pixels;
  std::vector<int64_t> shape;
};
BaseMapCall ReadBaseMapCall(const Ort::KernelContext& context, const std::string& layout);
[[noreturn]] void FailNotFinite(const std::string& tensor_name);

struct DeltaLimitCall {
  float eps;
  const float* data;
  int64_t count;
};
DeltaLimitCall ReadDeltaLimitCall(const Ort::KernelContext& context, int64_t layer_group);

inline int64_t ReadLayerGroup(const Ort::ConstKernelInfo& info) { return AttributeOr<int64_t>(info, "layer_group", 0); }

// The attribute `of` of ops whose rows are a delta, or T' itself.
bool ReadOfValues(const Ort::ConstKernelInfo& info);

// Rows of T' on y_boxes. X, on x_boxes, and `known`, with the map XB, may be absent: null pointers then.
struct RowValuesCall {
  BoxList y_boxes, x_boxes;
  BaseMap base, baseline;
  Values x;
  const bool* known;
};
RowValuesCall ReadRowValuesCall(const Ort::KernelContext& context);

struct RowDeltaCall {
  DeltaOnBase rows;
  const bool* changed;
};
RowDeltaCall ReadRowDeltaCall(const Ort::KernelContext& context);

// Densify has no more than a delta and its base map.
inline DeltaOnBase ReadDensifyCall(const Ort::KernelContext& context) {
  using In = DensifyInputs;
  return ReadDeltaOnBase(context, In::X, In::boxes, In::T0);
}

// The sizes of `positions` full maps: [B, C, sizes] or [B, sizes, C], as many sizes as the layout has.
std::vector<int64_t> DenseShape(const std::string& layout, int64_t positions, const BaseMap& map);
inline bool ChannelsFirst(const std::string& layout) { return layout.size() > 1 && layout[1] == 'C'; }

}  // namespace krypton
