// Ops that bring pixel rows to other places: OcclusionDelta, Pad, Concat, DepthGather, Resample, Densify.
#include "cuda/op.h"
#include "cuda/ops.h"
#include "geometry/resample_axis.h"
#include "ops/conv/call.h"

namespace krypton::cuda {
namespace {

struct OcclusionDelta : CudaKernel<OcclusionDelta> {
  static constexpr const char* kName = "OcclusionDelta";
  static constexpr Slot kInputs[] = {kFloat, kFloat, kFloat, kBool, kInt32, kInt64}, kOutputs[] = {kFloat};

  using CudaKernel::CudaKernel;

  void Run(Ort::KernelContext& context, Stream stream) const {
    const OcclusionCall call = ReadOcclusionCall(context);
    Upload upload(stream);
    const PutBoxes put = Put(upload, call.boxes);
    const size_t put_offsets = upload.Put(call.offsets, static_cast<size_t>(call.boxes.count));
    upload.Send();
    const DeviceBoxes boxes = put.In(upload);
    const int64_t* offsets = upload.At<int64_t>(put_offsets);
    const BaseMap image = call.image, baseline = call.baseline;
    const Values patches = call.patches;
    const bool* mask = call.mask_rows == 0 ? nullptr : call.mask;
    const int64_t channels = image.channels, rows = call.boxes.rows();
    float* out = WriteValues(context, 0, rows, channels);
    ForEachRow(stream, rows, channels, [=] KRYPTON_DEVICE(int64_t row, int64_t first, int64_t step) {
      const Pixel at = boxes.At(row);
      const int64_t given = offsets[at.box] + (row - boxes.offsets[at.box]);
      const bool replaced = mask == nullptr || mask[given];
      const float* pixel = patches.rows > 0 ? patches.row(given) : baseline.pixel(at.box, at.y, at.x);
      const float* old = image.pixel(at.box, at.y, at.x);
      for (int64_t c = first; c < channels; c += step) out[row * channels + c] = replaced ? pixel[c] - old[c] : 0.0f;
    });
  }
};

struct IncrementalPad : CudaKernel<IncrementalPad> {
  static constexpr const char* kName = "IncrementalPad";
  static constexpr Slot kInputs[] = {kFloat, kInt32, kInt32}, kOutputs[] = {kFloat};

  explicit IncrementalPad(const Ort::ConstKernelInfo& info)
      : CudaKernel(info), shift_(ReadShift(info)), shape_(ReadSize(info, "output_shape")) {}

  void Run(Ort::KernelContext& context, Stream stream) const {
    const BoxList x_list = ReadBoxes(context, 1, "x_boxes");
    const BoxList y_list = ReadBoxes(context, 2, "y_boxes", {shape_[0], shape_[1]});
    CheckSameCount(x_list, y_list, "x_boxes", "y_boxes");
    const Values x = ReadValues(context, 0, "X", x_list);
    Upload upload(stream);
    const PutBoxes put_x = Put(upload, x_list), put_y = Put(upload, y_list);
    upload.Send();
    const DeviceBoxes x_boxes = put_x.In(upload), y_boxes = put_y.In(upload);
    const int64_t down = shift_[0], right = shift_[1];
    float* out = WriteValues(context, 0, y_list.rows(), x.channels);
    ForEachRow(stream, y_list.rows(), x.channels, [=] KRYPTON_DEVICE(int64_t row, int64_t first, int64_t step) {
      const Pixel at = y_boxes.At(row);
      const int64_t from = x_boxes.RowOf(at.box, at.y - down, at.x - right);
      for (int64_t c = first; c < x.channels; c += step) {
        out[row * x.channels + c] = from < 0 ? 0.0f : x.row(from)[c];
      }
    });
  }

 private:
  std::vector<int64_t> shift_, shape_;
};

struct IncrementalConcat : CudaKernel<IncrementalConcat> {
  static constexpr const char* kName = "IncrementalConcat";
  static constexpr Slot kInputs[] = {kInt32, kInt32, kFloatVariadic}, kOutputs[] = {kFloat};

  using CudaKernel::CudaKernel;

  // One launch a part: each writes its own channels.
  void Run(Ort::KernelContext& context, Stream stream) const {
    const ConcatCall call = ReadConcatCall(context);
    Upload upload(stream);
    const PutBoxes put_y = Put(upload, call.y_boxes);
    std::vector<PutBoxes> put;
    for (const BoxList& boxes : call.boxes) put.push_back(Put(upload, boxes));
    upload.Send();
    const DeviceBoxes y_boxes = put_y.In(upload);
    const int64_t channels = call.channels, rows = call.y_boxes.rows();
    float* out = WriteValues(context, 0, rows, channels);
    for (size_t i = 0; i < put.size(); ++i) {
      const DeviceBoxes boxes = put[i].In(upload);
      const Values x = call.values[i];
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
  static constexpr Slot kInputs[] = {kFloat, kInt32, kInt32}, kOutputs[] = {kFloat};

  explicit DepthGather(const Ort::ConstKernelInfo& info)
      : CudaKernel(info), depth_(ReadDepth(info, true)), groups_(AttributeOr<int64_t>(info, "group", 1)) {}

  void Run(Ort::KernelContext& context, Stream stream) const {
    const GatherCall call = ReadGatherCall(context, depth_, groups_);
    Upload upload(stream);
    const PutBoxes put_x = Put(upload, call.x_boxes), put_y = Put(upload, call.y_boxes);
    upload.Send();
    const DeviceBoxes x_boxes = put_x.In(upload), y_boxes = put_y.In(upload);
    const Values x = call.x;
    const WindowAxis axis = depth_.axis;
    const int64_t taps = axis.kernel, part = x.channels / groups_, channels = taps * x.channels;
    float* out = WriteValues(context, 0, call.y_boxes.rows(), channels);
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
  DepthWindow depth_;
  int64_t groups_;
};

struct IncrementalResample : CudaKernel<IncrementalResample> {
  static constexpr const char* kName = "IncrementalResample";
  static constexpr Slot kInputs[] = {kFloat, kInt32, kInt32, kInt64, kFloat, kInt64, kFloat, kFloatOptional};
  static constexpr Slot kOutputs[] = {kFloat};
  static constexpr uint32_t kHostInputs = 1u << 4 | 1u << 6;  // the weights, beside their indices

  explicit IncrementalResample(const Ort::ConstKernelInfo& info)
      : CudaKernel(info), shape_(ReadSize(info, "input_shape")) {}

  void Run(Ort::KernelContext& context, Stream stream) const {
    ResampleAxis ys = ReadResampleAxis(context, 3, 4, "y", shape_[0]);
    ResampleAxis xs = ReadResampleAxis(context, 5, 6, "x", shape_[1]);
    const BoxList x_list = ReadBoxes(context, 1, "x_boxes", {shape_[0], shape_[1]});
    const BoxList y_list = ReadBoxes(context, 2, "y_boxes", {ys.out, xs.out});
    CheckSameCount(x_list, y_list, "x_boxes", "y_boxes");
    const Values d = ReadValues(context, 0, "X", x_list);
    const DeviceLimit limit = ReadLimit(context, 7);
    Upload upload(stream);
    const PutBoxes put_x = Put(upload, x_list), put_y = Put(upload, y_list);
    struct Put {
      size_t index, weight;
    };
    const auto put_axis = [&](const ResampleAxis& axis) {
      const auto entries = static_cast<size_t>(axis.out * axis.taps);
      return Put{upload.Put(axis.index, entries), upload.Put(axis.weight, entries)};
    };
    const Put put_ys = put_axis(ys), put_xs = put_axis(xs);
    upload.Send();
    ys.index = upload.At<int64_t>(put_ys.index), ys.weight = upload.At<float>(put_ys.weight);
    xs.index = upload.At<int64_t>(put_xs.index), xs.weight = upload.At<float>(put_xs.weight);
    const DeviceBoxes x_boxes = put_x.In(upload), y_boxes = put_y.In(upload);
    float* out = WriteValues(context, 0, y_list.rows(), d.channels);
    ForEachRow(stream, y_list.rows(), d.channels, [=] KRYPTON_DEVICE(int64_t row, int64_t first, int64_t step) {
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
  std::vector<int64_t> shape_;
};

struct Densify : CudaKernel<Densify> {
  static constexpr const char* kName = "Densify";
  static constexpr Slot kInputs[] = {kFloat, kInt32, kFloat}, kOutputs[] = {kFloat};

  explicit Densify(const Ort::ConstKernelInfo& info)
      : CudaKernel(info), layout_(RequiredAttribute<std::string>(info, "layout")) {}

  void Run(Ort::KernelContext& context, Stream stream) const {
    const BaseMap t = ReadBaseMap(context, 2, "T0");
    const BoxList list = ReadBoxes(context, 1, "boxes", {t.h, t.w});
    const Values d = ReadValues(context, 0, "X", list);
    CheckMap(t, "T0", {t.h, t.w}, d.channels, t.depth);
    CheckSlices(list, "boxes", t.depth);
    Upload upload(stream);
    const PutBoxes put = Put(upload, list);
    upload.Send();
    const DeviceBoxes boxes = put.In(upload);
    const int64_t channels = d.channels, pixels = t.h * t.w, all = t.depth * pixels;
    const bool first_channels = ChannelsFirst(layout_);
    const std::vector<int64_t> shape = DenseShape(layout_, list.count / t.depth, t);
    float* out = context.GetOutput(0, shape).GetTensorMutableData<float>();
    // A row is a box's pixels of one channel, or a pixel's channels: what lies side by side in the result.
    const int64_t rows = list.count * (first_channels ? channels : pixels);
    const int64_t across = first_channels ? pixels : channels;
    ForEachRow(stream, rows, across, [=] KRYPTON_DEVICE(int64_t row, int64_t first, int64_t step) {
      const int64_t outer = first_channels ? channels : pixels, b = row / outer, slice = b % t.depth;
      for (int64_t i = first; i < across; i += step) {
        const int64_t p = first_channels ? i : row % outer, c = first_channels ? row % outer : i;
        const int64_t from = boxes.RowOf(b, p / t.w, p % t.w);
        const float base = t.data[(slice * pixels + p) * channels + c];
        float* map = out + b / t.depth * all * channels;
        const int64_t pixel = slice * pixels + p;
        map[first_channels ? c * all + pixel : pixel * channels + c] = from < 0 ? base : base + d.row(from)[c];
      }
    });
  }

 private:
  std::string layout_;
};

}  // namespace

const OrtCustomOp* DensifyOp() {
  static const CudaOp<Densify> op;
  return &op;
}

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

const OrtCustomOp* OcclusionDeltaOp() {
  static const CudaOp<OcclusionDelta> op;
  return &op;
}

}  // namespace krypton::cuda
