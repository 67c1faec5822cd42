// Ops that bring pixel rows to other places: Pad, Transpose, Concat, DepthGather, Resample.
#include "cuda/op.h"
#include "cuda/ops.h"
#include "ops/moves/call.h"

namespace krypton::cuda {
namespace {

struct IncrementalPad : CudaKernel<IncrementalPad> {
  static constexpr const char* kName = "IncrementalPad";
  using In = IncrementalPadInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit IncrementalPad(const Ort::ConstKernelInfo& info) : CudaKernel(info), attributes_(ReadPadAttributes(info)) {}

  void Run(Ort::KernelContext& context, Stream stream) const {
    const PadCall call = ReadPadCall(context, attributes_);
    const Values x = call.x;
    const SentBoxes sent(stream, {&call.x_boxes, &call.y_boxes});
    const DeviceBoxes x_boxes = sent[0], y_boxes = sent[1];
    const int64_t down = attributes_.down, right = attributes_.right;
    float* out = WriteValues(context, call.y_boxes.rows(), x.channels);
    ForEachRow(stream, call.y_boxes.rows(), x.channels, [=] KRYPTON_DEVICE(int64_t row, int64_t first, int64_t step) {
      const Pixel at = y_boxes.At(row);
      const int64_t from = x_boxes.RowOf(at.box, at.y - down, at.x - right);
      for (int64_t c = first; c < x.channels; c += step) {
        out[row * x.channels + c] = from < 0 ? 0.0f : x.row(from)[c];
      }
    });
  }

 private:
  PadAttributes attributes_;
};

struct IncrementalTranspose : CudaKernel<IncrementalTranspose> {
  static constexpr const char* kName = "IncrementalTranspose";
  using In = IncrementalTransposeInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit IncrementalTranspose(const Ort::ConstKernelInfo& info) : CudaKernel(info), shape_(ReadInputShape(info)) {}

  void Run(Ort::KernelContext& context, Stream stream) const {
    const PadCall call = ReadTransposeCall(context, shape_);
    const Values x = call.x;
    const SentBoxes sent(stream, {&call.x_boxes, &call.y_boxes});
    const DeviceBoxes x_boxes = sent[0], y_boxes = sent[1];
    float* out = WriteValues(context, call.y_boxes.rows(), x.channels);
    ForEachRow(stream, call.y_boxes.rows(), x.channels, [=] KRYPTON_DEVICE(int64_t row, int64_t first, int64_t step) {
      const Pixel at = y_boxes.At(row);
      const int64_t from = x_boxes.RowOf(at.box, at.x, at.y);
      for (int64_t c = first; c < x.channels; c += step) {
        out[row * x.channels + c] = from < 0 ? 0.0f : x.row(from)[c];
      }
    });
  }

 private:
  MapShape shape_;
};

struct IncrementalConcat : CudaKernel<IncrementalConcat> {
  static constexpr const char* kName = "IncrementalConcat";
  using In = IncrementalConcatInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  using CudaKernel::CudaKernel;

  // One launch a part: each writes its own channels.
  void Run(Ort::KernelContext& context, Stream stream) const {
    const ConcatCall call = ReadConcatCall(context);
    std::vector<const BoxList*> lists = {&call.y_boxes};
    for (const BoxList& boxes : call.parts.boxes) lists.push_back(&boxes);
    const SentBoxes sent(stream, lists);
    const DeviceBoxes y_boxes = sent[0];
    const int64_t channels = call.parts.channels, rows = call.y_boxes.rows();
    float* out = WriteValues(context, rows, channels);
    for (size_t i = 0; i < call.parts.values.size(); ++i) {
      const DeviceBoxes boxes = sent[i + 1];
      const Values x = call.parts.values[i];
      ForEachRow(stream, rows, x.channels, [=] KRYPTON_DEVICE(int64_t row, int64_t first, int64_t step) {
        const Pixel at = y_boxes.At(row);
        const int64_t from = boxes.RowOf(at.box, at.y, at.x);
        for (int64_t c = first; c < x.channels; c += step) {
          out[row * channels + c] = from < 0 ? 0.0f : x.row(from)[c];
        }
      });
      out += x.channels;
    }
  }
};

struct DepthGather : CudaKernel<DepthGather> {
  static constexpr const char* kName = "DepthGather";
  using In = DepthGatherInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit DepthGather(const Ort::ConstKernelInfo& info) : CudaKernel(info), attributes_(ReadGatherAttributes(info)) {}

  void Run(Ort::KernelContext& context, Stream stream) const {
    const GatherCall call = ReadGatherCall(context, attributes_);
    const SentBoxes sent(stream, {&call.x_boxes, &call.y_boxes});
    const DeviceBoxes x_boxes = sent[0], y_boxes = sent[1];
    const Values x = call.x;
    const WindowAxis axis = attributes_.depth.axis;
    const int64_t taps = axis.kernel, part = x.channels / attributes_.groups, channels = taps * x.channels;
    float* out = WriteValues(context, call.y_boxes.rows(), channels);
    ForEachRow(stream, call.y_boxes.rows(), channels, [=] KRYPTON_DEVICE(int64_t row, int64_t first, int64_t step) {
      const Pixel at = y_boxes.At(row);
      const int64_t position = at.box / axis.out, slice = at.box % axis.out;
      for (int64_t c = first; c < channels; c += step) {  // [group][tap][part]
        const int64_t group = c / (taps * part), tap = c / part % taps, z = axis.Input(slice, tap);
        const int64_t from = z < 0 || z >= axis.in ? -1 : x_boxes.RowOf(position * axis.in + z, at.y, at.x);
        out[row * channels + c] = from < 0 ? 0.0f : x.row(from)[group * part + c % part];
      }
    });
  }

 private:
  GatherAttributes attributes_;
};

// The place of a table in an upload.
struct PutAxis {
  size_t index = 0, weight = 0;

  PutAxis() = default;
  PutAxis(Upload& upload, const ResampleAxis& axis)
      : index(upload.Put(axis.index, Entries(axis))), weight(upload.Put(axis.weight, Entries(axis))) {}
  static size_t Entries(const ResampleAxis& axis) { return static_cast<size_t>(axis.out * axis.taps); }
  // The same table in the device's memory.
  ResampleAxis In(const Upload& upload, const ResampleAxis& axis) const {
    return {upload.At<int64_t>(index), upload.At<float>(weight), axis.out, axis.taps};
  }
};

struct IncrementalResample : CudaKernel<IncrementalResample> {
  static constexpr const char* kName = "IncrementalResample";
  using In = IncrementalResampleInputs;
  static constexpr Slot kOutputs[] = {kFloat};
  static constexpr uint32_t kHostInputs = In::y_weight.bit() | In::x_weight.bit();  // the weights, beside their indices

  explicit IncrementalResample(const Ort::ConstKernelInfo& info) : CudaKernel(info), shape_(ReadInputShape(info)) {}

  void Run(Ort::KernelContext& context, Stream stream) const {
    const ResampleCall call = ReadResampleCall(context, shape_);
    const Values d = call.d;
    const DeviceLimit limit = ReadLimit(context, In::limit);
    PutAxis put_ys, put_xs;
    const SentBoxes sent(stream, {&call.x_boxes, &call.y_boxes}, [&](Upload& upload) {
      put_ys = PutAxis(upload, call.ys);
      put_xs = PutAxis(upload, call.xs);
    });
    const ResampleAxis ys = put_ys.In(sent.upload(), call.ys), xs = put_xs.In(sent.upload(), call.xs);
    const DeviceBoxes x_boxes = sent[0], y_boxes = sent[1];
    float* out = WriteValues(context, call.y_boxes.rows(), d.channels);
    ForEachRow(stream, call.y_boxes.rows(), d.channels, [=] KRYPTON_DEVICE(int64_t row, int64_t first, int64_t step) {
      const Pixel at = y_boxes.At(row);
      for (int64_t c = first; c < d.channels; c += step) {
        float sum = 0.0f;
        for (int64_t ty = 0; ty < ys.taps; ++ty) {
          const int64_t iy = ys.at(at.y, ty);
          for (int64_t tx = 0; iy >= 0 && tx < xs.taps; ++tx) {
            const int64_t ix = xs.at(at.x, tx), source = ix < 0 ? -1 : x_boxes.RowOf(at.box, iy, ix);
            if (source < 0) continue;
            sum += ys.weight[at.y * ys.taps + ty] * xs.weight[at.x * xs.taps + tx] * d.row(source)[c];
          }
        }
        out[row * d.channels + c] = limit(sum);
      }
    });
  }

 private:
  MapShape shape_;
};

}  // namespace

const OrtCustomOp* DepthGatherOp() {
  static const CudaOp<DepthGather> op;
  return &op;
}

const OrtCustomOp* IncrementalConcatOp() {
  static const CudaOp<IncrementalConcat> op;
  return &op;
}

const OrtCustomOp* IncrementalPadOp() {
  static const CudaOp<IncrementalPad> op;
  return &op;
}

const OrtCustomOp* IncrementalResampleOp() {
  static const CudaOp<IncrementalResample> op;
  return &op;
}

const OrtCustomOp* IncrementalTransposeOp() {
  static const CudaOp<IncrementalTranspose> op;
  return &op;
}

}  // namespace krypton::cuda
