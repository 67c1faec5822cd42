// The anatomy of an op: a kernel class names itself and its inputs and lists its outputs; this template makes the
// OrtCustomOp of it. Exceptions become statuses that name op and node.
//
//   struct WindowBoxes : KernelBase<WindowBoxes> {
//     static constexpr const char* kName = "WindowBoxes";
//     using In = WindowBoxesInputs;
//     static constexpr Slot kOutputs[] = {kInt32};
//     explicit WindowBoxes(const Ort::ConstKernelInfo& info);
//     void Compute(Ort::KernelContext context) const;
//   };
#pragma once

#include <exception>
#include <iterator>
#include <new>
#include <stdexcept>
#include <string>

#include "op/slots.h"

namespace krypton {

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
  static_assert(InOrder(Kernel::In::kAll), "an input has the number of another");
  Op() { OrtCustomOp::version = kOrtApiVersion; }
  const char* GetName() const { return Kernel::kName; }
  size_t GetInputTypeCount() const { return std::size(Kernel::In::kAll); }
  size_t GetOutputTypeCount() const { return std::size(Kernel::kOutputs); }
  ONNXTensorElementDataType GetInputType(size_t i) const { return Kernel::In::kAll[i].slot.type; }
  ONNXTensorElementDataType GetOutputType(size_t i) const { return Kernel::kOutputs[i].type; }
  OrtCustomOpInputOutputCharacteristic GetInputCharacteristic(size_t i) const {
    return Kernel::In::kAll[i].slot.presence;
  }
  OrtStatus* CreateKernelV2(const OrtApi&, const OrtKernelInfo* info, void** kernel) const {
    return Guarded(std::string("krypton.") + Kernel::kName, [&] { *kernel = new Kernel(Ort::ConstKernelInfo(info)); });
  }
};

}  // namespace krypton
