// The anatomy of an op: a kernel class names itself and lists its slots; this template makes the
// OrtCustomOp of it. Exceptions become statuses that name op and node.
//
//   struct WindowBoxes : KernelBase<WindowBoxes> {
//     static constexpr const char* kName = "WindowBoxes";
//     static constexpr Slot kInputs[] = {kInt32}, kOutputs[] = {kInt32};
//     explicit WindowBoxes(Ort::ConstKernelInfo info);
//     void Compute(Ort::KernelContext context) const;
//   };
#pragma once

#include <atomic>
#include <exception>
#include <iterator>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

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
inline constexpr Slot kInt32Variadic{ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32, INPUT_OUTPUT_VARIADIC};
inline constexpr Slot kFloatVariadic{ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, INPUT_OUTPUT_VARIADIC};

inline OrtStatus* StatusOf(const std::string& where, const char* what, OrtErrorCode code) {
  return Ort::GetApi().CreateStatus(code, (where + ": " + what).c_str());
}

// Runs `body`, turning whatever it throws into a status: no exception may cross the C boundary.
template <class Body>
OrtStatus* Guarded(const std::string& where, Body&& body) noexcept {
  try {
    body();
    return nullptr;
  } catch (const Ort::Exception& error) {
    return StatusOf(where, error.what(), error.GetOrtErrorCode());
  } catch (const std::bad_alloc&) {
    return StatusOf(where, "out of memory", ORT_RUNTIME_EXCEPTION);
  } catch (const std::length_error&) {  // more than any memory holds
    return StatusOf(where, "out of memory", ORT_RUNTIME_EXCEPTION);
  } catch (const std::exception& error) {
    return StatusOf(where, error.what(), ORT_RUNTIME_EXCEPTION);
  }
}

template <class Kernel>
struct KernelBase {
  explicit KernelBase(const Ort::ConstKernelInfo& info)
      : where_(std::string("krypton.") + Kernel::kName + " '" + info.GetNodeName() + "'") {}
  OrtStatus* ComputeV2(OrtKernelContext* context) {
    return Guarded(where_, [&] { static_cast<const Kernel*>(this)->Compute(Ort::KernelContext(context)); });
  }

 private:
  std::string where_;
};

template <class Kernel>
struct Op : Ort::CustomOpBase<Op<Kernel>, Kernel, true> {
  Op() { OrtCustomOp::version = kOrtApiVersion; }
  const char* GetName() const { return Kernel::kName; }
  size_t GetInputTypeCount() const { return std::size(Kernel::kInputs); }
  size_t GetOutputTypeCount() const { return std::size(Kernel::kOutputs); }
  ONNXTensorElementDataType GetInputType(size_t i) const { return Kernel::kInputs[i].type; }
  ONNXTensorElementDataType GetOutputType(size_t i) const { return Kernel::kOutputs[i].type; }
  OrtCustomOpInputOutputCharacteristic GetInputCharacteristic(size_t i) const { return Kernel::kInputs[i].presence; }
  OrtStatus* CreateKernelV2(const OrtApi&, const OrtKernelInfo* info, void** kernel) const {
    return Guarded(std::string("krypton.") + Kernel::kName, [&] { *kernel = new Kernel(Ort::ConstKernelInfo(info)); });
  }
};

// Calls body(i) for i in [0, count) on onnxruntime's intra-op pool, and throws what a body threw first.
template <class Body>
void ParallelFor(const Ort::KernelContext& context, int64_t count, const Body& body) {
  if (count == 1) return body(0);
  if (count < 1) return;
  struct Shared {
    const Body& body;
    std::atomic_flag failed = ATOMIC_FLAG_INIT;
    std::exception_ptr error{};
  } shared{body};
  context.ParallelFor(
      [](void* data, size_t i) {
        Shared& all = *static_cast<Shared*>(data);
        try {
          all.body(static_cast<int64_t>(i));
        } catch (...) {
          if (!all.failed.test_and_set()) all.error = std::current_exception();
        }
      },
      static_cast<size_t>(count), 0, &shared);
  if (shared.error) std::rethrow_exception(shared.error);
}

// Calls body(begin, end) on ranges of [0, total) of at least `grain`: few enough that handing
// them out costs nothing, enough that uneven ranges balance.
template <class Body>
void ParallelRanges(const Ort::KernelContext& context, int64_t total, int64_t grain, const Body& body) {
  constexpr int64_t kMaxRanges = 64;
  int64_t ranges = total / (grain < 1 ? 1 : grain);
  ranges = ranges < 1 ? 1 : ranges > kMaxRanges ? kMaxRanges : ranges;
  ParallelFor(context, ranges, [&](int64_t i) { body(total * i / ranges, total * (i + 1) / ranges); });
}

// An attribute that the op cannot do without.
template <class T>
T RequiredAttribute(const Ort::ConstKernelInfo& info, const char* name) {
  try {
    return info.GetAttribute<T>(name);
  } catch (const Ort::Exception&) {
    throw Ort::Exception(std::string("attribute ") + name + ": missing, or of another type", ORT_INVALID_ARGUMENT);
  }
}

inline std::vector<int64_t> AttributeList(const Ort::ConstKernelInfo& info, const char* name, size_t expected) {
  std::vector<int64_t> values;
  try {
    values = info.GetAttributes<int64_t>(name);
  } catch (const Ort::Exception&) {  // missing, or of another type: no entries
  }
  if (values.size() != expected) {
    throw Ort::Exception(std::string("attribute ") + name + ": expected " + std::to_string(expected) + " integers",
                         ORT_INVALID_ARGUMENT);
  }
  return values;
}

// (H, W) of a map, within what boxes of int32 can lie on and what products of them with channels leave in int64.
inline std::vector<int64_t> ReadSize(const Ort::ConstKernelInfo& info, const char* name) {
  constexpr int64_t kLimit = int64_t{1} << 30;
  std::vector<int64_t> shape = AttributeList(info, name, 2);
  if (shape[0] < 1 || shape[1] < 1 || shape[0] > kLimit || shape[1] > kLimit / shape[0]) {
    throw Ort::Exception(std::string("attribute ") + name + ": expected the size of a map, found [" +
                             std::to_string(shape[0]) + "," + std::to_string(shape[1]) + "]",
                         ORT_INVALID_ARGUMENT);
  }
  return shape;
}

// What a Pad moves a map by: no more than a map is large, so that sums with coordinates stay in int64.
inline std::vector<int64_t> ReadShift(const Ort::ConstKernelInfo& info) {
  constexpr int64_t kLimit = int64_t{1} << 30;
  std::vector<int64_t> shift = AttributeList(info, "shift", 2);
  for (int64_t v : shift) {
    if (v < -kLimit || v > kLimit) throw Ort::Exception("attribute shift: out of range", ORT_INVALID_ARGUMENT);
  }
  return shift;
}

template <class T>
T AttributeOr(const Ort::ConstKernelInfo& info, const char* name, T fallback) {
  try {
    return info.GetAttribute<T>(name);
  } catch (const Ort::Exception&) {
    return fallback;
  }
}

}  // namespace krypton
