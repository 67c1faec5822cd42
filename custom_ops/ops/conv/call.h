// What an op is called with, read and checked: for ops whose inputs take more than a few lines, so that every kernel of
// such an op, the CPU's and the GPU's, refuses the same.
#pragma once

#include <string>
#include <vector>

#include "geometry/window.h"
#include "op/inputs.h"

namespace krypton {

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

struct ConcatCall {
  BoxList y_boxes;
  std::vector<BoxList> boxes;
  std::vector<Values> values;
  int64_t channels;
};
ConcatCall ReadConcatCall(const Ort::KernelContext& context);

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

// A pool's inputs X, x_boxes and y_boxes, which come first.
struct PoolCall {
  BoxList x_boxes, y_boxes;
  Values d;
};
PoolCall ReadPoolCall(const Ort::KernelContext& context, const Window& window, const DepthWindow& depth);

struct GatherCall {
  Values x;
  BoxList x_boxes, y_boxes;
};
GatherCall ReadGatherCall(const Ort::KernelContext& context, const DepthWindow& depth, int64_t groups);

// One image's tensor, which BaseMap gives as `shape`, [H, W, C] or [D, H, W, C].
struct BaseMapCall {
  const float* data;
  int64_t channels, pixels;
  std::vector<int64_t> shape;
};
BaseMapCall ReadBaseMapCall(const Ort::KernelContext& context, const std::string& layout);
[[noreturn]] void FailNotFinite(const std::string& tensor_name);

// The sizes of `positions` full maps: [B, C, sizes] or [B, sizes, C], as many sizes as the layout has.
std::vector<int64_t> DenseShape(const std::string& layout, int64_t positions, const BaseMap& map);
inline bool ChannelsFirst(const std::string& layout) { return layout.size() > 1 && layout[1] == 'C'; }

// A convolution by W [M, C/group, kH, kW]; of signals without kH, of volumes with a kD in front, whose slices lie side
// by side in the channels of X (DepthGather).
struct ConvShape {
  int64_t channels, groups, depth, maps, maps_per_group;  // C, G, C/G, M, M/G
  int64_t slices = 1;  // of volumes, that one output slice reads: C counts the channels of all of them
  bool depthwise() const { return depth == 1 && groups == channels && maps == channels; }
};

// The lowest that a convolution may multiply in (krypton_compile/schemas.py).
enum class Precision { kFloat32, kBfloat16x3, kBfloat16 };

struct ConvAttributes {
  Window window;
  int64_t groups, slices;  // output slices a position, of volumes
  float lo, hi;            // of the clip rule
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

struct GemmCall {
  Values x;
  BoxList boxes;
  Values w;  // [pixels * C, N]
};
GemmCall ReadGemmCall(const Ort::KernelContext& context, const VolumeShape& map);

}  // namespace krypton
