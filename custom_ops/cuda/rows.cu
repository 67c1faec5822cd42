// Ops that see a pixel's whole row of channels: LRN, Softmax, ReduceChannels. A warp takes a row.
#include "cuda/op.h"
#include "cuda/ops.h"
#include "ops/rows/call.h"

namespace krypton::cuda {
namespace {

// Calls body(warp, z, d, row) for every pixel of every box.
template <class Body>
void ForEachPixelRow(Stream stream, const DeltaOnBase& input, const Body& body) {
  const SentBoxes sent(stream, {&input.boxes});
  const DeviceBoxes boxes = sent[0];
  const BaseMap z = input.base;
  const Values d = input.d;
  ForEachWarp(stream, d.rows, [=] KRYPTON_DEVICE(int64_t row, const Warp& warp) {
    const Pixel at = boxes.At(row);
    body(warp, z.pixel(at.box, at.y, at.x), d.row(row), row);
  });
}

// The same, for bodies body(warp, z, d, y) that write a row of as many channels.
template <class Body>
void WritePixelRows(Ort::KernelContext& context, Stream stream, const DeltaOnBase& input, const DeviceLimit& limit,
                    const Body& body) {
  const int64_t channels = input.d.channels;
  float* out = WriteValues(context, input.d.rows, channels);
  ForEachPixelRow(stream, input, [=] KRYPTON_DEVICE(const Warp& warp, const float* z, const float* d, int64_t row) {
    float* y = out + row * channels;
    body(warp, z, d, y);
    for (int64_t c = warp.lane; c < channels; c += warp.lanes) y[c] = limit(y[c]);
  });
}

struct IncrementalLRN : CudaKernel<IncrementalLRN> {
  static constexpr const char* kName = "IncrementalLRN";
  using In = IncrementalLRNInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit IncrementalLRN(const Ort::ConstKernelInfo& info) : CudaKernel(info), parameters_(ReadLrn(info)) {}

  void Run(Ort::KernelContext& context, Stream stream) const {
    const DeltaOnBase input = ReadDeltaOnBase<In>(context);
    const int64_t channels = input.d.channels;
    const LrnParameters parameters = parameters_;
    WritePixelRows(context, stream, input, ReadLimit(context, In::limit),
                   [=] KRYPTON_DEVICE(const Warp& warp, const float* z, const float* d, float* y) {
                     LrnRow(warp, z, d, y, channels, parameters);
                   });
  }

 private:
  LrnParameters parameters_;
};

struct IncrementalSoftmax : CudaKernel<IncrementalSoftmax> {
  static constexpr const char* kName = "IncrementalSoftmax";
  using In = IncrementalSoftmaxInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit IncrementalSoftmax(const Ort::ConstKernelInfo& info) : CudaKernel(info), logarithm_(ReadLogarithm(info)) {}

  void Run(Ort::KernelContext& context, Stream stream) const {
    const DeltaOnBase input = ReadSoftmaxCall(context);
    const int64_t channels = input.d.channels;
    const bool logarithm = logarithm_;
    WritePixelRows(context, stream, input, ReadLimit(context, In::limit),
                   [=] KRYPTON_DEVICE(const Warp& warp, const float* z, const float* d, float* y) {
                     SoftmaxRow(warp, z, d, y, channels, logarithm);
                   });
  }

 private:
  bool logarithm_;
};

struct IncrementalReduceChannels : CudaKernel<IncrementalReduceChannels> {
  static constexpr const char* kName = "IncrementalReduceChannels";
  using In = IncrementalReduceChannelsInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit IncrementalReduceChannels(const Ort::ConstKernelInfo& info)
      : CudaKernel(info), reduction_(ReadReduction(info)) {}

  void Run(Ort::KernelContext& context, Stream stream) const {
    const DeltaOnBase input = ReadReduceChannelsCall(context);
    const int64_t channels = input.d.channels;
    const DeviceLimit limit = ReadLimit(context, In::limit);
    const Reduction reduction = reduction_;
    float* out = WriteValues(context, input.d.rows, 1);
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

const OrtCustomOp* IncrementalReduceChannelsOp() {
  static const CudaOp<IncrementalReduceChannels> op;
  return &op;
}

const OrtCustomOp* IncrementalSoftmaxOp() {
  static const CudaOp<IncrementalSoftmax> op;
  return &op;
}

}  // namespace krypton::cuda
