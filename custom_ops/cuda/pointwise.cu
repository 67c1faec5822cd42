// Ops that keep each pixel where it is: Clip, Activation, Scale, Add, Binary.
#include <limits>

#include "cuda/op.h"
#include "cuda/ops.h"
#include "math/binary.h"
#include "op/pointwise.h"
#include "ops/conv/call.h"
#include "ops/pointwise/activation.h"

namespace krypton::cuda {
namespace {

#include "math/clip_rule.inl.h"
// The clip rule comes first.
#include "math/functions.inl.h"

// y = entry(d, z) for every entry.
template <class Entry>
void WriteEntries(Ort::KernelContext& context, Stream stream, const Pointwise& input, const DeviceLimit& limit,
                  const Entry& entry) {
  Upload upload(stream);
  const PutBoxes put = Put(upload, input.boxes);
  upload.Send();
  const DeviceBoxes boxes = put.In(upload);
  const BaseMap z = input.z;
  const Values d = input.d;
  float* out = WriteValues(context, 0, d.rows, d.channels);
  ForEachRow(stream, d.rows, d.channels, [=] KRYPTON_DEVICE(int64_t row, int64_t first, int64_t step) {
    const Pixel at = boxes.At(row);
    const float *from = d.row(row), *base = z.pixel(at.box, at.y, at.x);
    float* y = out + row * d.channels;
    for (int64_t c = first; c < d.channels; c += step) y[c] = limit(entry(from[c], base[c]));
  });
}

struct ClipEntry {
  float lo, hi;
  KRYPTON_DEVICE float operator()(float d, float z) const { return ClipRuleScalar(d, z, lo, hi); }
};

struct IncrementalClip : CudaKernel<IncrementalClip> {
  static constexpr const char* kName = "IncrementalClip";
  static constexpr Slot kInputs[] = {kFloat, kInt32, kFloat, kFloatOptional}, kOutputs[] = {kFloat};

  explicit IncrementalClip(const Ort::ConstKernelInfo& info)
      : CudaKernel(info),
        entry_{AttributeOr<float>(info, "min", 0.0f),
               AttributeOr<float>(info, "max", std::numeric_limits<float>::infinity())} {}

  void Run(Ort::KernelContext& context, Stream stream) const {
    WriteEntries(context, stream, ReadPointwise(context), ReadLimit(context, 3), entry_);
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
  static constexpr Slot kInputs[] = {kFloat, kInt32, kFloat, kFloatOptional}, kOutputs[] = {kFloat};

  explicit IncrementalActivation(const Ort::ConstKernelInfo& info) : CudaKernel(info), entry_{ReadActivation(info)} {}

  void Run(Ort::KernelContext& context, Stream stream) const {
    WriteEntries(context, stream, ReadPointwise(context), ReadLimit(context, 3), entry_);
  }

 private:
  ActivationEntry entry_;
};

struct IncrementalScale : CudaKernel<IncrementalScale> {
  static constexpr const char* kName = "IncrementalScale";
  static constexpr Slot kInputs[] = {kFloat, kFloat, kFloatOptional}, kOutputs[] = {kFloat};

  using CudaKernel::CudaKernel;

  void Run(Ort::KernelContext& context, Stream stream) const {
    const Values x = ReadValues(context, 0, "X");
    const float* scale = ReadPerChannel(context, 1, "scale", x.channels);
    const DeviceLimit limit = ReadLimit(context, 2);
    float* out = WriteValues(context, 0, x.rows, x.channels);
    ForEachRow(stream, x.rows, x.channels, [=] KRYPTON_DEVICE(int64_t row, int64_t first, int64_t step) {
      for (int64_t c = first; c < x.channels; c += step) out[row * x.channels + c] = limit(x.row(row)[c] * scale[c]);
    });
  }
};

struct IncrementalAdd : CudaKernel<IncrementalAdd> {
  static constexpr const char* kName = "IncrementalAdd";
  static constexpr Slot kInputs[] = {kFloat, kInt32, kFloat, kInt32, kInt32, kFloatOptional}, kOutputs[] = {kFloat};

  explicit IncrementalAdd(const Ort::ConstKernelInfo& info)
      : CudaKernel(info), beta_(AttributeOr<float>(info, "beta", 1.0f)) {}

  void Run(Ort::KernelContext& context, Stream stream) const {
    const BoxList a_list = ReadBoxes(context, 1, "a_boxes"), b_list = ReadBoxes(context, 3, "b_boxes");
    const BoxList y_list = ReadBoxes(context, 4, "y_boxes");
    const Values a = ReadValues(context, 0, "A", a_list), b = ReadValues(context, 2, "B", b_list);
    if (a.channels != b.channels) Fail("A and B: expected equal channels");
    CheckInside(y_list, {a_list, b_list});
    const DeviceLimit limit = ReadLimit(context, 5);
    Upload upload(stream);
    const PutBoxes put_a = Put(upload, a_list), put_b = Put(upload, b_list), put_y = Put(upload, y_list);
    upload.Send();
    const DeviceBoxes a_boxes = put_a.In(upload), b_boxes = put_b.In(upload), y_boxes = put_y.In(upload);
    const float beta = beta_;
    float* out = WriteValues(context, 0, y_list.rows(), a.channels);
    ForEachRow(stream, y_list.rows(), a.channels, [=] KRYPTON_DEVICE(int64_t row, int64_t first, int64_t step) {
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
  static constexpr Slot kInputs[] = {kFloat, kInt32,         kFloat,         kFloat,
                                     kInt32, kFloatOptional, kInt32Optional, kFloatOptional};
  static constexpr Slot kOutputs[] = {kFloat};

  explicit IncrementalBinary(const Ort::ConstKernelInfo& info)
      : CudaKernel(info),
        function_(FindBinary(RequiredAttribute<std::string>(info, "function"))),
        swapped_(AttributeOr<int64_t>(info, "swapped", 0) != 0) {}

  void Run(Ort::KernelContext& context, Stream stream) const {
    const BinaryCall call = ReadBinaryCall(context);
    Upload upload(stream);
    const PutBoxes put_a = Put(upload, call.a.boxes), put_b = Put(upload, call.b.boxes);
    const PutBoxes put_y = Put(upload, call.y_boxes);
    upload.Send();
    const DeviceOperand a{call.a.base, call.a.moves, put_a.In(upload), call.a.d};
    const DeviceOperand b{call.b.base, call.b.moves, put_b.In(upload), call.b.d};
    const int64_t rows = call.y_boxes.rows();
    Write(stream, swapped_ ? b : a, swapped_ ? a : b, put_y.In(upload), rows, call.channels, ReadLimit(context, 7),
          WriteValues(context, 0, rows, call.channels));
  }

 private:
  template <class... Arguments>
  void Write(const Arguments&... arguments) const {
    switch (function_) {
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

  Binary function_;
  bool swapped_;
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
