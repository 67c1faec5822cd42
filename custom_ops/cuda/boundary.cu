// Ops between a caller's tensors and deltas. BaseMap, a tensor's view with channels last, and DeltaLimit, eps * max
// |T0|, run once an image; OcclusionDelta and Densify, the first and the last of what runs for each chunk.
#include <cstring>

#include "cuda/device/atomics.h"
#include "cuda/op.h"
#include "cuda/ops.h"
#include "math/largest.h"
#include "ops/boundary/call.h"

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
  using In = DeltaLimitInputs;
  static constexpr Slot kOutputs[] = {kFloat};
  static constexpr uint32_t kHostInputs = In::eps.bit();

  explicit DeltaLimit(const Ort::ConstKernelInfo& info) : CudaKernel(info), group_(ReadLayerGroup(info)) {}

  void Run(Ort::KernelContext& context, Stream stream) const {
    const DeltaLimitCall call = ReadDeltaLimitCall(context, group_);
    const float eps = call.eps;
    float* limit = context.GetOutput(0, {1}).GetTensorMutableData<float>();
    LargestBits(stream, call.data, eps == 0.0f ? 0 : call.count, limit);
    ForEachRow(stream, 1, 1, [=] KRYPTON_DEVICE(int64_t, int64_t, int64_t) { *limit *= eps; });
  }

 private:
  int64_t group_;
};

struct BaseMapKernel : CudaKernel<BaseMapKernel> {
  static constexpr const char* kName = "BaseMap";
  using In = BaseMapInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit BaseMapKernel(const Ort::ConstKernelInfo& info)
      : CudaKernel(info), attributes_(ReadBaseMapAttributes(info)) {}

  void Run(Ort::KernelContext& context, Stream stream) const {
    const BaseMapCall call = ReadBaseMapCall(context, attributes_.layout);
    const float* source = call.data;
    const int64_t pixels = call.pixels, channels = call.channels;
    if (attributes_.finite) CheckFinite(stream, source, pixels * channels);
    float* map = context.GetOutput(0, call.shape).GetTensorMutableData<float>();
    const bool first_channels = ChannelsFirst(attributes_.layout);
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
    if (largest > kLargestFinite) FailNotFinite(attributes_.tensor_name);
  }

  BaseMapAttributes attributes_;
};

struct OcclusionDelta : CudaKernel<OcclusionDelta> {
  static constexpr const char* kName = "OcclusionDelta";
  using In = OcclusionDeltaInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  using CudaKernel::CudaKernel;

  void Run(Ort::KernelContext& context, Stream stream) const {
    const OcclusionCall call = ReadOcclusionCall(context);
    size_t put_offsets = 0;
    const SentBoxes sent(stream, {&call.boxes}, [&](Upload& upload) {
      put_offsets = upload.Put(call.offsets, static_cast<size_t>(call.boxes.count));
    });
    const DeviceBoxes boxes = sent[0];
    const int64_t* offsets = sent.upload().At<int64_t>(put_offsets);
    const BaseMap image = call.image, baseline = call.baseline;
    const Values patches = call.patches;
    const bool* mask = call.mask_rows == 0 ? nullptr : call.mask;
    const int64_t channels = image.channels, rows = call.boxes.rows();
    float* out = WriteValues(context, rows, channels);
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

struct Densify : CudaKernel<Densify> {
  static constexpr const char* kName = "Densify";
  using In = DensifyInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit Densify(const Ort::ConstKernelInfo& info)
      : CudaKernel(info), layout_(RequiredAttribute<std::string>(info, "layout")), of_values_(ReadOfValues(info)) {}

  void Run(Ort::KernelContext& context, Stream stream) const {
    const DeltaOnBase call = ReadDensifyCall(context);
    const BaseMap t = call.base;
    const BoxList& list = call.boxes;
    const Values d = call.d;
    const SentBoxes sent(stream, {&list});
    const DeviceBoxes boxes = sent[0];
    const int64_t channels = d.channels, pixels = t.h * t.w, all = t.depth * pixels;
    const bool first_channels = ChannelsFirst(layout_), of_values = of_values_;
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
        map[first_channels ? c * all + pixel : pixel * channels + c] = from < 0    ? base
                                                                       : of_values ? d.row(from)[c]
                                                                                   : base + d.row(from)[c];
      }
    });
  }

 private:
  std::string layout_;
  bool of_values_;
};

struct RowValues : CudaKernel<RowValues> {
  static constexpr const char* kName = "RowValues";
  using In = RowValuesInputs;
  static constexpr Slot kOutputs[] = {kFloat, kBool};

  explicit RowValues(const Ort::ConstKernelInfo& info) : CudaKernel(info), of_values_(ReadOfValues(info)) {}

  void Run(Ort::KernelContext& context, Stream stream) const {
    const RowValuesCall call = ReadRowValuesCall(context);
    const BaseMap base = call.base, baseline = call.baseline;
    const Values x = call.x;
    const bool *known = call.known, of_values = of_values_, moves = x.data != nullptr;
    const SentBoxes sent(stream, {&call.y_boxes, moves ? &call.x_boxes : &call.y_boxes});
    const DeviceBoxes y_boxes = sent[0], x_boxes = sent[1];
    const int64_t channels = base.channels, rows = call.y_boxes.rows();
    float* out = WriteValues(context, rows, channels);
    bool* changed = context.GetOutput(1, {rows}).GetTensorMutableData<bool>();
    const auto read = [=] KRYPTON_DEVICE(int64_t row, const Pixel& at, int64_t from, int64_t c) {
      if (known != nullptr && known[row]) return baseline.pixel(at.box, at.y, at.x)[c];
      const float before = base.pixel(at.box, at.y, at.x)[c];
      if (from < 0) return before;
      return of_values ? x.row(from)[c] : before + x.row(from)[c];
    };
    ForEachRow(stream, rows, channels, [=] KRYPTON_DEVICE(int64_t row, int64_t first, int64_t step) {
      const Pixel at = y_boxes.At(row);
      const int64_t from = moves ? x_boxes.RowOf(at.box, at.y, at.x) : -1;
      for (int64_t c = first; c < channels; c += step) out[row * channels + c] = read(row, at, from, c);
    });
    ForEachRow(stream, rows, 1, [=] KRYPTON_DEVICE(int64_t row, int64_t, int64_t) {
      const Pixel at = y_boxes.At(row);
      const int64_t from = moves ? x_boxes.RowOf(at.box, at.y, at.x) : -1;
      const bool is_known = known != nullptr && known[row], is_delta = !is_known && from >= 0 && !of_values;
      bool differs = false;
      for (int64_t c = 0; c < channels && !differs; ++c) {
        differs = is_delta ? x.row(from)[c] != 0.0f : read(row, at, from, c) != base.pixel(at.box, at.y, at.x)[c];
      }
      changed[row] = differs;
    });
  }

 private:
  bool of_values_;
};

struct RowDelta : CudaKernel<RowDelta> {
  static constexpr const char* kName = "RowDelta";
  using In = RowDeltaInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  using CudaKernel::CudaKernel;

  void Run(Ort::KernelContext& context, Stream stream) const {
    const RowDeltaCall call = ReadRowDeltaCall(context);
    const BaseMap base = call.rows.base;
    const Values v = call.rows.d;
    const bool* changed = call.changed;
    const SentBoxes sent(stream, {&call.rows.boxes});
    const DeviceBoxes boxes = sent[0];
    const DeviceLimit limit = ReadLimit(context, In::limit);
    const int64_t channels = v.channels, rows = v.rows;
    float* out = WriteValues(context, rows, channels);
    ForEachRow(stream, rows, channels, [=] KRYPTON_DEVICE(int64_t row, int64_t first, int64_t step) {
      const Pixel at = boxes.At(row);
      const float* before = base.pixel(at.box, at.y, at.x);
      for (int64_t c = first; c < channels; c += step) {
        out[row * channels + c] = changed[row] ? limit(v.row(row)[c] - before[c]) : 0.0f;
      }
    });
  }
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

const OrtCustomOp* DensifyOp() {
  static const CudaOp<Densify> op;
  return &op;
}

const OrtCustomOp* OcclusionDeltaOp() {
  static const CudaOp<OcclusionDelta> op;
  return &op;
}

const OrtCustomOp* RowDeltaOp() {
  static const CudaOp<RowDelta> op;
  return &op;
}

const OrtCustomOp* RowValuesOp() {
  static const CudaOp<RowValues> op;
  return &op;
}

}  // namespace krypton::cuda
