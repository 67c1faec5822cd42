// Reads the attributes of ops. What is missing and needed, or there and of another type than the op takes, or out of
// bounds, is an error that names the attribute.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "geometry/box.h"
#include "geometry/window.h"
#include "math/find_name.h"
#include "op/fail.h"
#include "op/ort.h"

namespace krypton {

// Whether the node has the attribute: a number, a string or a list of numbers. The API tells nothing of other types
// (tensors, graphs, lists of strings); no op of ours takes one.
bool HasAttribute(const Ort::ConstKernelInfo& info, const char* name);

// An attribute that the op cannot do without.
template <class T>
T RequiredAttribute(const Ort::ConstKernelInfo& info, const char* name) {
  try {
    return info.GetAttribute<T>(name);
  } catch (const Ort::Exception&) {
    Fail(std::string("attribute ") + name + ": missing, or of another type");
  }
}

inline const char* TypeName(int64_t) { return "one integer"; }
inline const char* TypeName(float) { return "one float"; }
inline const char* TypeName(const std::string&) { return "a string"; }

// An attribute, or `fallback` where the node has none of that name.
template <class T>
T AttributeOr(const Ort::ConstKernelInfo& info, const char* name, T fallback) {
  try {
    return info.GetAttribute<T>(name);
  } catch (const Ort::Exception&) {
    if (HasAttribute(info, name)) Fail(std::string("attribute ") + name + ": expected " + TypeName(fallback));
    return fallback;
  }
}

// Exactly `expected` integers.
std::vector<int64_t> AttributeList(const Ort::ConstKernelInfo& info, const char* name, size_t expected);

// (H, W) of a map, within what boxes of int32 can lie on and what products of them with channels leave in int64.
std::vector<int64_t> ReadSize(const Ort::ConstKernelInfo& info, const char* name);

// Attribute shift of a Pad: no more than a map is large, so that sums with coordinates stay in int64.
std::vector<int64_t> ReadShift(const Ort::ConstKernelInfo& info);

// Attribute input_shape of ops that end the spatial part.
VolumeShape ReadMapShape(const Ort::ConstKernelInfo& info);

// Attribute image_shape: 1 to 3 sizes.
std::vector<int64_t> ReadImageShape(const Ort::ConstKernelInfo& info);

// ONNX's attributes of a window, and the sizes of the maps before and after it.
Window ReadWindow(const Ort::ConstKernelInfo& info);

// Attribute depth, [kernel, stride, pad, end pad, dilation, slices before, slices after]; absent, there is one slice.
DepthWindow ReadDepth(const Ort::ConstKernelInfo& info, bool required = false);

// Attributes min and max of the clip rule: by default Relu's.
struct Bounds {
  float lo, hi;
};
Bounds ReadBounds(const Ort::ConstKernelInfo& info);

// Attribute `function` as its place in `names`; `what` says in an error what it should be.
template <class Function, size_t kCount>
Function ReadFunction(const Ort::ConstKernelInfo& info, const char* const (&names)[kCount], const char* what) {
  const std::string name = RequiredAttribute<std::string>(info, "function");
  const int32_t found = FindName(names, name);
  if (found < 0) Fail("attribute function: '" + name + "' is " + what);
  return static_cast<Function>(found);
}

}  // namespace krypton
