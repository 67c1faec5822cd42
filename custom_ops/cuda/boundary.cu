// What is made of a base tensor once an image: BaseMap, its view with channels last, and DeltaLimit, eps * max |T0|.
#include <cstring>

#include "cuda/device/atomics.h"
#include "cuda/op.h"
#include "cuda/ops.h"
#include "math/largest.h"
#include "op/thresholds.h"
#include "ops/conv/call.h"

namespace krypton::cuda {
namespace {

// The largest magnitude of a tensor, as the bits of a float (math/largest.h), in four bytes of the device's memory.
void LargestBits(Stream stream, const float* data, int64_t count, void* largest) {
#if defined(__CUDACC__)
  Check(cudaMemsetAsync(largest, 0, sizeof(int32_t), stream), "memset");
#else
  std::memset(largest, 0, sizeof(int32_t));
#endif
  constexpr int64_t kPiece = 4096;
  const int64_t pieces = (count + kPiece - 1) / kPiece;
  ForEachRow(stream, pieces, kPiece, [=] KRYPTON_DEVICE(int64_t piece, int64_t first, int64_t step) {
    int32_t found = 0;
    for (int64_t i = piece * kPiece + first; i < (piece + 1) * kPiece && i < count; i += step) {
      const int32_t bits = Magnitude(data[i]);
      found = bits > found ? bits : found;
    }
    auto* top = static_cast<int32_t*>(largest);
    if (found > Peek(top)) AtomicMax(top, found);  // most threads find no larger one
  });
}

struct DeltaLimit : CudaKernel<DeltaLimit> {
  static constexpr const char* kName = "DeltaLimit";
  static constexpr Slot kInputs[] = {kFloat, kFloat}, kOutputs[] = {kFloat};
  static constexpr uint32_t kHostInputs = 1u << 1;

  explicit DeltaLimit(const Ort::ConstKernelInfo& info)
      : CudaKernel(info), group_(AttributeOr<int64_t>(info, "layer_group", 0)) {}

  void Run(Ort::KernelContext& context, Stream stream) const {
    const float eps = ReadEps(context, 1, group_);
    const Ort::ConstValue tensor = context.GetInput(0);
    const auto count = static_cast<int64_t>(tensor.GetTensorTypeAndShapeInfo().GetElementCount());
    float* limit = context.GetOutput(0, {1}).GetTensorMutableData<float>();
    LargestBits(stream, tensor.GetTensorData<float>(), eps == 0.0f ? 0 : count, limit);
    ForEachRow(stream, 1, 1, [=] KRYPTON_DEVICE(int64_t, int64_t, int64_t) { *limit *= eps; });
  }

 private:
  int64_t group_;
};

struct BaseMapKernel : CudaKernel<BaseMapKernel> {
  static constexpr const char* kName = "BaseMap";
  static constexpr Slot kInputs[] = {kFloat}, kOutputs[] = {kFloat};

  explicit BaseMapKernel(const Ort::ConstKernelInfo& info)
      : CudaKernel(info),
        layout_(RequiredAttribute<std::string>(info, "layout")),
        tensor_name_(AttributeOr<std::string>(info, "tensor_name", "")) {}

  void Run(Ort::KernelContext& context, Stream stream) const {
    const BaseMapCall call = ReadBaseMapCall(context, layout_);
    const float* source = call.data;
    const int64_t pixels = call.pixels, channels = call.channels;
    CheckFinite(stream, source, pixels * channels);
    float* map = context.GetOutput(0, call.shape).GetTensorMutableData<float>();
    const bool first_channels = ChannelsFirst(layout_);
    ForEachRow(stream, pixels, channels, [=] KRYPTON_DEVICE(int64_t p, int64_t first, int64_t step) {
      for (int64_t c = first; c < channels; c += step) {
        map[p * channels + c] = source[first_channels ? c * pixels + p : p * channels + c];
      }
    });
  }

 private:
  // The one place where the host waits for the device, once an image and map.
  void CheckFinite(Stream stream, const float* data, int64_t count) const {
    int32_t largest = 0;
#if defined(__CUDACC__)
    Upload scratch(stream);
    const size_t at = scratch.Put(&largest, 1);
    scratch.Send();
    auto* found = const_cast<int32_t*>(scratch.At<int32_t>(at));
    LargestBits(stream, data, count, found);
    Check(cudaMemcpyAsync(&largest, found, sizeof largest, cudaMemcpyDeviceToHost, stream), "copy");
    Check(cudaStreamSynchronize(stream), "base map");
#else
    LargestBits(stream, data, count, &largest);
#endif
    if (largest > kLargestFinite) FailNotFinite(tensor_name_);
  }

  std::string layout_, tensor_name_;
};

}  // namespace

const OrtCustomOp* BaseMapOp() {
  static const CudaOp<BaseMapKernel> op;
  return &op;
}

const OrtCustomOp* DeltaLimitOp() {
  static const CudaOp<DeltaLimit> op;
  return &op;
}

}  // namespace krypton::cuda
