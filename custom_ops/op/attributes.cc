#include "op/attributes.h"

#include <algorithm>
#include <initializer_list>
#include <limits>

namespace krypton {
namespace {

// Boxes are int32 and products of two sizes or offsets stay in int64.
constexpr int64_t kLargest = int64_t{1} << 30;

// The entries of a list of integers; none where it is missing, or of another type.
std::vector<int64_t> ListOrNone(const Ort::ConstKernelInfo& info, const char* name) {
  try {
    return info.GetAttributes<int64_t>(name);
  } catch (const Ort::Exception&) {
    return {};
  }
}

// Whether a getter of onnxruntime's API takes the attribute for one of its type.
bool Found(OrtStatus* status) {
  const bool found = status == nullptr;
  if (!found) Ort::GetApi().ReleaseStatus(status);
  return found;
}

}  // namespace

bool HasAttribute(const Ort::ConstKernelInfo& info, const char* name) {
  // The API has no function that says whether an attribute is there, only one for each type that fails unless it is of
  // that type.
  const OrtApi& api = Ort::GetApi();
  const OrtKernelInfo* node = info;
  int64_t integer = 0;
  float real = 0;
  size_t size = 0;
  if (Found(api.KernelInfoGetAttribute_int64(node, name, &integer))) return true;
  if (Found(api.KernelInfoGetAttribute_float(node, name, &real))) return true;
  if (Found(api.KernelInfoGetAttribute_string(node, name, nullptr, &size))) return true;
  if (Found(api.KernelInfoGetAttributeArray_int64(node, name, nullptr, &size))) return true;
  return Found(api.KernelInfoGetAttributeArray_float(node, name, nullptr, &size));
}

std::vector<int64_t> AttributeList(const Ort::ConstKernelInfo& info, const char* name, size_t expected) {
  std::vector<int64_t> values = ListOrNone(info, name);
  if (values.size() != expected) {
    Fail(std::string("attribute ") + name + ": expected " + std::to_string(expected) + " integers");
  }
  return values;
}

std::vector<int64_t> ReadSize(const Ort::ConstKernelInfo& info, const char* name) {
  std::vector<int64_t> shape = AttributeList(info, name, 2);
  if (shape[0] < 1 || shape[1] < 1 || shape[0] > kLargest || shape[1] > kLargest / shape[0]) {
    Fail(std::string("attribute ") + name + ": expected the size of a map, found " + ShapeText(shape));
  }
  return shape;
}

std::vector<int64_t> ReadShift(const Ort::ConstKernelInfo& info) {
  std::vector<int64_t> shift = AttributeList(info, "shift", 2);
  for (int64_t v : shift) {
    if (v < -kLargest || v > kLargest) Fail("attribute shift: out of range");
  }
  return shift;
}

VolumeShape ReadMapShape(const Ort::ConstKernelInfo& info) {
  constexpr int64_t kLimit = int64_t{1} << 20;
  const std::vector<int64_t> shape = ListOrNone(info, "input_shape");
  const bool sized = std::all_of(shape.begin(), shape.end(), [](int64_t n) { return n >= 1 && n <= kLimit; });
  if (!sized || (shape.size() != 2 && shape.size() != 3)) {
    Fail("attribute input_shape: expected the size of a map, [H,W] or [D,H,W], found " + ShapeText(shape));
  }
  const size_t first = shape.size() - 2;
  return {{shape[first], shape[first + 1]}, first == 0 ? 1 : shape[0]};
}

std::vector<int64_t> ReadImageShape(const Ort::ConstKernelInfo& info) {
  const std::vector<int64_t> shape = ListOrNone(info, "image_shape");
  if (shape.empty() || shape.size() > 3) Fail("attribute image_shape: expected 1 to 3 sizes");
  for (int64_t size : shape) {
    if (size < 1 || size > (int64_t{1} << 20)) Fail("attribute image_shape: sizes must be positive");
  }
  return shape;
}

Window ReadWindow(const Ort::ConstKernelInfo& info) {
  const auto kernel = ReadSize(info, "kernel_shape");
  const auto strides = AttributeList(info, "strides", 2);
  const auto pads = AttributeList(info, "pads", 4);
  const auto dilations = AttributeList(info, "dilations", 2);
  const auto in = ReadSize(info, "input_shape");
  const auto out = ReadSize(info, "output_shape");
  for (int i = 0; i < 2; ++i) {
    for (int64_t v : {strides[i], dilations[i]}) {
      if (v < 1 || v > kLargest) Fail("attributes strides and dilations: expected positive numbers");
    }
    for (int64_t v : {pads[i], pads[i + 2]}) {
      if (v < 0 || v > kLargest) Fail("attribute pads: negative pads are not supported");
    }
  }
  return {{kernel[0], strides[0], pads[0], pads[2], dilations[0], in[0], out[0]},
          {kernel[1], strides[1], pads[1], pads[3], dilations[1], in[1], out[1]}};
}

Bounds ReadBounds(const Ort::ConstKernelInfo& info) {
  return {AttributeOr<float>(info, "min", 0.0f),
          AttributeOr<float>(info, "max", std::numeric_limits<float>::infinity())};
}

DepthWindow ReadDepth(const Ort::ConstKernelInfo& info, bool required) {
  std::vector<int64_t> v = {1, 1, 0, 0, 1, 1, 1};
  if (required || HasAttribute(info, "depth")) v = ListOrNone(info, "depth");
  if (v.size() != 7) Fail("attribute depth: expected 7 entries, found " + std::to_string(v.size()));
  constexpr int64_t kLimit = int64_t{1} << 20;
  for (int i : {0, 1, 4, 5, 6}) {
    if (v[i] < 1 || v[i] > kLimit) Fail("attribute depth: kernel, stride, dilation and slices must be positive");
  }
  for (int i : {2, 3}) {
    if (v[i] < -kLimit || v[i] > kLimit) Fail("attribute depth: pads out of range");
  }
  return DepthWindow({v[0], v[1], v[2], v[3], v[4], v[5], v[6]});
}

}  // namespace krypton
