// Ops that see a pixel's whole row of channels: LRN, LayerNorm, Softmax, ReduceChannels. A warp takes a row.
#include "cuda/op.h"
#include "cuda/ops.h"
#include "math/row_functions.h"
#include "op/pointwise.h"

namespace krypton::cuda {
namespace {

// Calls body(warp, z, d, row) for every pixel of every box.
template <class Body>
void ForEachPixelRow(Stream stream, const Pointwise& input, const Body& body) {
  Upload upload(stream);
  const PutBoxes put = Put(upload, input.boxes);
  upload.Send();
  const DeviceBoxes boxes = put.In(upload);
  const BaseMap z = input.z;
  const Values d = input.d;
  ForEachWarp(stream, d.rows, [=] KRYPTON_DEVICE(int64_t row, const Warp& warp) {
    const Pixel at = boxes.At(row);
    body(warp, z.pixel(at.box, at.y, at.x), d.row(row), row);
  });
}

// The same, for bodies body(warp, z, d, y) that write a row of as many channels.
template <class Body>
void WritePixelRows(Ort::KernelContext& context, Stream stream, const Pointwise& input, const DeviceLimit& limit,
                    const Body& body) {
  const int64_t channels = input.d.channels;
  float* out = WriteValues(context, 0, input.d.rows, channels);
  ForEachPixelRow(stream, input, [=] KRYPTON_DEVICE(const Warp& warp, const float* z, const float* d, int64_t row) {
    float* y = out + row * channels;
    body(warp, z, d, y);
    for (int64_t c = warp.lane; c < channels; c += warp.lanes) y[c] = limit(y[c]);
  });
}

struct IncrementalLRN : CudaKernel<IncrementalLRN> {
  static constexpr const char* kName = "IncrementalLRN";
  static constexpr Slot kInputs[] = {kFloat, kInt32, kFloat, kFloatOptional}, kOutputs[] = {kFloat};

  explicit IncrementalLRN(const Ort::ConstKernelInfo& info) : CudaKernel(info), parameters_(ReadLrn(info)) {}

  void Run(Ort::KernelContext& context, Stream stream) const {
    const Pointwise input = ReadPointwise(context);
    const int64_t channels = input.d.channels;
    const LrnParameters parameters = parameters_;
    WritePixelRows(context, stream, input, ReadLimit(context, 3),
                   [=] KRYPTON_DEVICE(const Warp& warp, const float* z, const float* d, float* y) {
                     LrnRow(warp, z, d, y, channels, parameters);
                   });
  }

 private:
  LrnParameters parameters_;
};

struct IncrementalLayerNorm : CudaKernel<IncrementalLayerNorm> {
  static constexpr const char* kName = "IncrementalLayerNorm";
  static constexpr Slot kInputs[] = {kFloat, kInt32, kFloat, kFloat, kFloatOptional}, kOutputs[] = {kFloat};

  explicit IncrementalLayerNorm(const Ort::ConstKernelInfo& info)
      : CudaKernel(info), epsilon_(AttributeOr<float>(info, "epsilon", 1e-5f)) {}

  void Run(Ort::KernelContext& context, Stream stream) const {
    const Pointwise input = ReadPointwise(context);
    const int64_t channels = input.d.channels;
    const float* scale = ReadPerChannel(context, 3, "scale", channels);
    const float epsilon = epsilon_;
    WritePixelRows(context, stream, input, ReadLimit(context, 4),
                   [=] KRYPTON_DEVICE(const Warp& warp, const float* z, const float* d, float* y) {
                     LayerNormRow(warp, z, d, scale, y, channels, epsilon);
                   });
  }

 private:
  float epsilon_;
};

struct IncrementalSoftmax : CudaKernel<IncrementalSoftmax> {
  static constexpr const char* kName = "IncrementalSoftmax";
  static constexpr Slot kInputs[] = {kFloat, kInt32, kFloat, kFloatOptional}, kOutputs[] = {kFloat};

  explicit IncrementalSoftmax(const Ort::ConstKernelInfo& info)
      : CudaKernel(info), logarithm_(AttributeOr<int64_t>(info, "logarithm", 0) != 0) {}

  void Run(Ort::KernelContext& context, Stream stream) const {
    const Pointwise input = ReadPointwise(context);
    const int64_t channels = input.d.channels;
    if (channels == 0) Fail("X: expected channels");
    const bool logarithm = logarithm_;
    WritePixelRows(context, stream, input, ReadLimit(context, 3),
                   [=] KRYPTON_DEVICE(const Warp& warp, const float* z, const float* d, float* y) {
                     SoftmaxRow(warp, z, d, y, channels, logarithm);
                   });
  }

 private:
  bool logarithm_;
};

struct IncrementalReduceChannels : CudaKernel<IncrementalReduceChannels> {
  static constexpr const char* kName = "IncrementalReduceChannels";
  static constexpr Slot kInputs[] = {kFloat, kInt32, kFloat, kFloatOptional}, kOutputs[] = {kFloat};

  explicit IncrementalReduceChannels(const Ort::ConstKernelInfo& info)
      : CudaKernel(info), reduction_(FindReduction(RequiredAttribute<std::string>(info, "function"))) {}

  void Run(Ort::KernelContext& context, Stream stream) const {
    const Pointwise input = ReadPointwise(context);
    const int64_t channels = input.d.channels;
    if (channels == 0) Fail("X: expected channels");
    const DeviceLimit limit = ReadLimit(context, 3);
    const Reduction reduction = reduction_;
    float* out = WriteValues(context, 0, input.d.rows, 1);
    ForEachPixelRow(stream, input, [=] KRYPTON_DEVICE(const Warp& warp, const float* z, const float* d, int64_t row) {
      const float change = ReductionDelta(warp, reduction, z, d, channels);
      if (warp.lane == 0) out[row] = limit(change);
    });
  }

 private:
  Reduction reduction_;
};

}  // namespace

const OrtCustomOp* IncrementalLRNOp() {
  static const CudaOp<IncrementalLRN> op;
  return &op;
}

const OrtCustomOp* IncrementalLayerNormOp() {
  static const CudaOp<IncrementalLayerNorm> op;
  return &op;
}

const OrtCustomOp* IncrementalReduceChannelsOp() {
  static const CudaOp<IncrementalReduceChannels> op;
  return &op;
}

const OrtCustomOp* IncrementalSoftmaxOp() {
  static const CudaOp<IncrementalSoftmax> op;
  return &op;
}

}  // namespace krypton::cuda
