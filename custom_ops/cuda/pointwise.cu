// Ops that keep each pixel where it is: Clip, Activation, Scale, Add, Binary.
#include <limits>

#include "cuda/op.h"
#include "cuda/ops.h"
#include "ops/pointwise/call.h"

namespace krypton::cuda {
namespace {

#include "math/clip_rule.inl.h"
// The clip rule comes first.
#include "math/functions.inl.h"

// y = entry(d, z, channel) for every entry.
template <class Entry>
void WriteChannels(Ort::KernelContext& context, Stream stream, const DeltaOnBase& input, const DeviceLimit& limit,
                   const Entry& entry) {
  const SentBoxes sent(stream, {&input.boxes});
  const DeviceBoxes boxes = sent[0];
  const BaseMap z = input.base;
  const Values d = input.d;
  float* out = WriteValues(context, d.rows, d.channels);
  ForEachRow(stream, d.rows, d.channels, [=] KRYPTON_DEVICE(int64_t row, int64_t first, int64_t step) {
    const Pixel at = boxes.At(row);
    const float *from = d.row(row), *base = z.pixel(at.box, at.y, at.x);
    float* y = out + row * d.channels;
    for (int64_t c = first; c < d.channels; c += step) y[c] = limit(entry(from[c], base[c], c));
  });
}

// y = entry(d, z) for every entry.
template <class Entry>
void WriteEntries(Ort::KernelContext& context, Stream stream, const DeltaOnBase& input, const DeviceLimit& limit,
                  const Entry& entry) {
  WriteChannels(context, stream, input, limit, [=] KRYPTON_DEVICE(float d, float z, int64_t) { return entry(d, z); });
}

struct ClipEntry {
  Bounds bounds;
  KRYPTON_DEVICE float operator()(float d, float z) const { return ClipRuleScalar(d, z, bounds.lo, bounds.hi); }
};

struct IncrementalClip : CudaKernel<IncrementalClip> {
  static constexpr const char* kName = "IncrementalClip";
  using In = IncrementalClipInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit IncrementalClip(const Ort::ConstKernelInfo& info) : CudaKernel(info), entry_{ReadBounds(info)} {}

  void Run(Ort::KernelContext& context, Stream stream) const {
    const DeltaOnBase input = ReadDeltaOnBase<In>(context);
    const float* scale = ReadClipScale(context, input.d.channels);
    const DeviceLimit limit = ReadLimit(context, In::limit);
    const ClipEntry entry = entry_;
    if (scale == nullptr) return WriteEntries(context, stream, input, limit, entry);
    WriteChannels(context, stream, input, limit,
                  [=] KRYPTON_DEVICE(float d, float z, int64_t c) { return entry(d * scale[c], z); });
  }

 private:
  ClipEntry entry_;
};

struct ActivationEntry {
  Activation activation;
  KRYPTON_DEVICE float operator()(float d, float z) const {
    float y = 0.0f;
    ActivationRow(&y, &d, &z, 1, activation);
    return d == 0.0f ? 0.0f : y;
  }
};

struct IncrementalActivation : CudaKernel<IncrementalActivation> {
  static constexpr const char* kName = "IncrementalActivation";
  using In = IncrementalActivationInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit IncrementalActivation(const Ort::ConstKernelInfo& info) : CudaKernel(info), entry_{ReadActivation(info)} {}

  void Run(Ort::KernelContext& context, Stream stream) const {
    WriteEntries(context, stream, ReadDeltaOnBase<In>(context), ReadLimit(context, In::limit), entry_);
  }

 private:
  ActivationEntry entry_;
};

struct IncrementalScale : CudaKernel<IncrementalScale> {
  static constexpr const char* kName = "IncrementalScale";
  using In = IncrementalScaleInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  using CudaKernel::CudaKernel;

  void Run(Ort::KernelContext& context, Stream stream) const {
    const ScaleCall call = ReadScaleCall(context);
    const Values x = call.x;
    const float* scale = call.scale;
    const DeviceLimit limit = ReadLimit(context, In::limit);
    float* out = WriteValues(context, x.rows, x.channels);
    ForEachRow(stream, x.rows, x.channels, [=] KRYPTON_DEVICE(int64_t row, int64_t first, int64_t step) {
      for (int64_t c = first; c < x.channels; c += step) out[row * x.channels + c] = limit(x.row(row)[c] * scale[c]);
    });
  }
};

struct IncrementalAdd : CudaKernel<IncrementalAdd> {
  static constexpr const char* kName = "IncrementalAdd";
  using In = IncrementalAddInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit IncrementalAdd(const Ort::ConstKernelInfo& info)
      : CudaKernel(info), beta_(AttributeOr<float>(info, "beta", 1.0f)) {}

  void Run(Ort::KernelContext& context, Stream stream) const {
    const AddCall call = ReadAddCall(context);
    const Values a = call.a, b = call.b;
    const DeviceLimit limit = ReadLimit(context, In::limit);
    const SentBoxes sent(stream, {&call.a_boxes, &call.b_boxes, &call.y_boxes});
    const DeviceBoxes a_boxes = sent[0], b_boxes = sent[1], y_boxes = sent[2];
    const float beta = beta_;
    float* out = WriteValues(context, call.y_boxes.rows(), a.channels);
    ForEachRow(stream, call.y_boxes.rows(), a.channels, [=] KRYPTON_DEVICE(int64_t row, int64_t first, int64_t step) {
      const Pixel at = y_boxes.At(row);
      const int64_t from_a = a_boxes.RowOf(at.box, at.y, at.x), from_b = b_boxes.RowOf(at.box, at.y, at.x);
      for (int64_t c = first; c < a.channels; c += step) {
        float sum = from_a < 0 ? 0.0f : a.row(from_a)[c];
        if (from_b >= 0) sum += beta * b.row(from_b)[c];
        out[row * a.channels + c] = limit(sum);
      }
    });
  }

 private:
  float beta_;
};

// One side of a binary op on the device.
struct DeviceOperand {
  BaseMap base;
  bool moves;
  DeviceBoxes boxes;
  Values d;

  KRYPTON_DEVICE float Base(const Pixel& at, int64_t c) const {
    return base.spread_pixel(at.box, at.y, at.x)[base.channels == 1 ? 0 : c];
  }
  // The row of its delta at a pixel, or -1.
  KRYPTON_DEVICE int64_t RowAt(const Pixel& at) const { return moves ? boxes.RowOf(at.box, at.y, at.x) : -1; }
  KRYPTON_DEVICE float Moved(int64_t row, int64_t c) const {
    return row < 0 ? 0.0f : d.row(row)[d.channels == 1 ? 0 : c];
  }
};

template <Binary kFunction>
void WriteBinary(Stream stream, const DeviceOperand& left, const DeviceOperand& right, const DeviceBoxes& y_boxes,
                 int64_t rows, int64_t channels, const DeviceLimit& limit, float* out) {
  ForEachRow(stream, rows, channels, [=] KRYPTON_DEVICE(int64_t row, int64_t first, int64_t step) {
    const Pixel at = y_boxes.At(row);
    const int64_t from_left = left.RowAt(at), from_right = right.RowAt(at);
    for (int64_t c = first; c < channels; c += step) {
      out[row * channels + c] = limit(BinaryDelta<kFunction>(left.Base(at, c), left.Moved(from_left, c),
                                                             right.Base(at, c), right.Moved(from_right, c)));
    }
  });
}

struct IncrementalBinary : CudaKernel<IncrementalBinary> {
  static constexpr const char* kName = "IncrementalBinary";
  using In = IncrementalBinaryInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit IncrementalBinary(const Ort::ConstKernelInfo& info)
      : CudaKernel(info), attributes_(ReadBinaryAttributes(info)) {}

  void Run(Ort::KernelContext& context, Stream stream) const {
    const BinaryCall call = ReadBinaryCall(context);
    const SentBoxes sent(stream, {&call.a.boxes, &call.b.boxes, &call.y_boxes});
    const DeviceOperand a{call.a.base, call.a.moves, sent[0], call.a.d};
    const DeviceOperand b{call.b.base, call.b.moves, sent[1], call.b.d};
    const bool swapped = attributes_.swapped;
    const int64_t rows = call.y_boxes.rows();
    Write(stream, swapped ? b : a, swapped ? a : b, sent[2], rows, call.channels, ReadLimit(context, In::limit),
          WriteValues(context, rows, call.channels));
  }

 private:
  template <class... Arguments>
  void Write(const Arguments&... arguments) const {
    switch (attributes_.function) {
      case Binary::kAdd:
        return WriteBinary<Binary::kAdd>(arguments...);
      case Binary::kSub:
        return WriteBinary<Binary::kSub>(arguments...);
      case Binary::kMul:
        return WriteBinary<Binary::kMul>(arguments...);
      case Binary::kDiv:
        return WriteBinary<Binary::kDiv>(arguments...);
      case Binary::kMax:
        return WriteBinary<Binary::kMax>(arguments...);
      case Binary::kMin:
        return WriteBinary<Binary::kMin>(arguments...);
      case Binary::kPow:
        return WriteBinary<Binary::kPow>(arguments...);
    }
  }

  BinaryAttributes attributes_;
};

}  // namespace

const OrtCustomOp* IncrementalActivationOp() {
  static const CudaOp<IncrementalActivation> op;
  return &op;
}

const OrtCustomOp* IncrementalAddOp() {
  static const CudaOp<IncrementalAdd> op;
  return &op;
}

const OrtCustomOp* IncrementalBinaryOp() {
  static const CudaOp<IncrementalBinary> op;
  return &op;
}

const OrtCustomOp* IncrementalClipOp() {
  static const CudaOp<IncrementalClip> op;
  return &op;
}

const OrtCustomOp* IncrementalScaleOp() {
  static const CudaOp<IncrementalScale> op;
  return &op;
}

}  // namespace krypton::cuda
