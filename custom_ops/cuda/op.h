// The anatomy of an op of the CUDA provider: as op/op.h has it, and Compute gets the stream.
//
// Boxes and offsets, the tables of Resample and thresholds stay in the host's memory (OrtMemTypeCPUInput): boxes are
// integers that the CPU's box ops make, and what is launched depends on them. Values and base maps are on the device.
#pragma once

#include "cuda/device/boxes.h"
#include "op/fail.h"
#include "op/op.h"

namespace krypton::cuda {

template <class Kernel>
struct CudaKernel : KernelBase<Kernel> {
  // Inputs, one bit each, that stay in the host's memory although they are no integers.
  static constexpr uint32_t kHostInputs = 0;

  using KernelBase<Kernel>::KernelBase;
  void Compute(Ort::KernelContext context) const {
#if defined(__CUDACC__)
    const Stream stream = static_cast<Stream>(context.GetGPUComputeStream());
#else
    const Stream stream = nullptr;
#endif
    static_cast<const Kernel*>(this)->Run(context, stream);
  }
};

template <class Kernel>
struct CudaOp : Op<Kernel> {
  CudaOp() {
    // CustomOpBase asks its own TOp, Op<Kernel>, for these. With KRYPTON_EMULATE_PROVIDER kernels run on the CPU and
    // are placed as on a GPU.
#if defined(__CUDACC__) || defined(KRYPTON_EMULATE_PROVIDER)
    OrtCustomOp::GetExecutionProviderType = [](const OrtCustomOp*) { return "CUDAExecutionProvider"; };
    OrtCustomOp::GetInputMemoryType = [](const OrtCustomOp*, size_t index) {
      if (index >= std::size(Kernel::In::kAll)) return OrtMemTypeDefault;
      return OnHost(index) ? OrtMemTypeCPUInput : OrtMemTypeDefault;
    };
#endif
  }

 private:
  static bool OnHost(size_t index) {
    const ONNXTensorElementDataType type = Kernel::In::kAll[index].slot.type;
    if (type == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32 || type == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64) return true;
    return (Kernel::kHostInputs >> index & 1) != 0;
  }
};

// An input [1] in the device's memory; absent, entries stay as they are.
inline DeviceLimit ReadLimit(const Ort::KernelContext& context, const Input& input) {
  if (!IsGiven(context, input)) return {nullptr};
  const Ort::ConstValue value = context.GetInput(input.index);
  const std::vector<int64_t> shape = value.GetTensorTypeAndShapeInfo().GetShape();
  if (shape != std::vector<int64_t>{1}) Fail(std::string(input.name) + ": expected 1 value, found " + ShapeText(shape));
  return {value.GetTensorData<float>()};
}

}  // namespace krypton::cuda
