// The inputs and outputs of an op. A family's call.h names each op's inputs once, for CPU and GPU, in the order of
// krypton_compile's schemas, which tests/ops/test_slots.py compares them with:
//
//   struct IncrementalClipInputs {
//     static constexpr Input X{0, "X", kFloat}, boxes{1, "boxes", kInt32}, Z0{2, "Z0", kFloat},
//         limit{3, "limit", kFloatOptional};
//     static constexpr Input kAll[] = {X, boxes, Z0, limit};
//   };
#pragma once

#include <cstddef>
#include <cstdint>

#include "op/ort.h"

namespace krypton {

struct Slot {
  ONNXTensorElementDataType type;
  OrtCustomOpInputOutputCharacteristic presence = INPUT_OUTPUT_REQUIRED;
};
inline constexpr Slot kFloat{ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT};
inline constexpr Slot kInt32{ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32};
inline constexpr Slot kInt64{ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64};
inline constexpr Slot kBool{ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL};
inline constexpr Slot kFloatOptional{ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, INPUT_OUTPUT_OPTIONAL};
inline constexpr Slot kInt32Optional{ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32, INPUT_OUTPUT_OPTIONAL};
inline constexpr Slot kInt64Optional{ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, INPUT_OUTPUT_OPTIONAL};
inline constexpr Slot kBoolOptional{ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL, INPUT_OUTPUT_OPTIONAL};
inline constexpr Slot kInt32Variadic{ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32, INPUT_OUTPUT_VARIADIC};
inline constexpr Slot kFloatVariadic{ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, INPUT_OUTPUT_VARIADIC};

struct Input {
  size_t index;
  const char* name;
  Slot slot;

  // Entry `i` of a variadic input.
  constexpr Input operator[](size_t i) const { return {index + i, name, slot}; }
  constexpr uint32_t bit() const { return uint32_t{1} << index; }
};

// Whether each input has the number of its place.
template <size_t kCount>
constexpr bool InOrder(const Input (&inputs)[kCount]) {
  for (size_t i = 0; i < kCount; ++i) {
    if (inputs[i].index != i) return false;
  }
  return true;
}

// Whether the call has the input, which may be optional.
inline bool IsGiven(const Ort::KernelContext& context, const Input& input) {
  return context.GetInputCount() > input.index && context.GetInput(input.index);
}

}  // namespace krypton
