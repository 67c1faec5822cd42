// Pools: MaxPool, LpPool, AveragePool, and those of the whole map.
#include <limits>

#include "cuda/op.h"
#include "cuda/ops.h"
#include "ops/pool/call.h"

namespace krypton::cuda {
namespace {

// The window of an output pixel, for kernels: its slices, and the box that holds the delta of each.
struct DeviceWindow {
  WindowAxis z, y, x;
  KRYPTON_DEVICE int64_t Slice(int64_t y_box) const { return y_box % z.out; }
  // The box of X that a tap along the slices reads.
  KRYPTON_DEVICE int64_t Source(int64_t y_box, int64_t tap) const {
    return y_box / z.out * z.in + z.Input(Slice(y_box), tap);
  }
};

// The pixels that the taps of one output pixel read.
struct PixelTaps {
  DeviceWindow window;
  Pixel at;
  Range z, y, x;

  KRYPTON_DEVICE PixelTaps(const DeviceWindow& of, const Pixel& pixel)
      : window(of),
        at(pixel),
        z(of.z.Taps(of.Slice(pixel.box), 0, of.z.in)),
        y(of.y.Taps(pixel.y, 0, of.y.in)),
        x(of.x.Taps(pixel.x, 0, of.x.in)) {}

  // Calls visit(box, y, x, row) for each pixel of X, and its row of the delta, or -1 where that has none.
  template <class Visit>
  KRYPTON_DEVICE void ForEach(const DeviceBoxes& boxes, const Visit& visit) const {
    for (int64_t kz = z.lo; kz < z.hi; ++kz) {
      const int64_t box = window.Source(at.box, kz);
      for (int64_t ky = y.lo; ky < y.hi; ++ky) {
        for (int64_t kx = x.lo; kx < x.hi; ++kx) {
          const int64_t iy = window.y.Input(at.y, ky), ix = window.x.Input(at.x, kx);
          visit(box, iy, ix, boxes.RowOf(box, iy, ix));
        }
      }
    }
  }
};

struct IncrementalMaxPool : CudaKernel<IncrementalMaxPool> {
  static constexpr const char* kName = "IncrementalMaxPool";
  using In = IncrementalMaxPoolInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit IncrementalMaxPool(const Ort::ConstKernelInfo& info) : CudaKernel(info), window_(ReadPoolWindow(info)) {}

  void Run(Ort::KernelContext& context, Stream stream) const {
    const PoolCall call = ReadMaxPoolCall(context, window_);
    const Values d = call.d;
    const BaseMap x0 = call.x0, y0 = call.y0;
    const DeviceLimit limit = ReadLimit(context, In::limit);
    const SentBoxes sent(stream, {&call.x_boxes, &call.y_boxes});
    const DeviceBoxes x_boxes = sent[0], y_boxes = sent[1];
    const DeviceWindow window{window_.depth.axis, window_.map.y, window_.map.x};
    float* out = WriteValues(context, call.y_boxes.rows(), d.channels);
    ForEachRow(stream, call.y_boxes.rows(), d.channels, [=] KRYPTON_DEVICE(int64_t row, int64_t first, int64_t step) {
      const Pixel at = y_boxes.At(row);
      const PixelTaps taps(window, at);
      const float* before = y0.pixel(at.box, at.y, at.x);
      for (int64_t c = first; c < d.channels; c += step) {
        float y = -std::numeric_limits<float>::infinity();
        taps.ForEach(x_boxes, [&](int64_t x_box, int64_t iy, int64_t ix, int64_t from) {
          const float base = x0.pixel(x_box, iy, ix)[c] - before[c];
          const float v = from < 0 ? base : base + d.row(from)[c];
          y = y > v ? y : v;
        });
        out[row * d.channels + c] = limit(y);
      }
    });
  }

 private:
  PoolWindow window_;
};

struct IncrementalLpPool : CudaKernel<IncrementalLpPool> {
  static constexpr const char* kName = "IncrementalLpPool";
  using In = IncrementalLpPoolInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit IncrementalLpPool(const Ort::ConstKernelInfo& info)
      : CudaKernel(info), window_(ReadPoolWindow(info)), norm_(ReadNorm(info)) {}

  void Run(Ort::KernelContext& context, Stream stream) const {
    const PoolCall call = ReadLpPoolCall(context, window_);
    const Values d = call.d;
    const BaseMap x0 = call.x0;
    const DeviceLimit limit = ReadLimit(context, In::limit);
    const SentBoxes sent(stream, {&call.x_boxes, &call.y_boxes});
    const DeviceBoxes x_boxes = sent[0], y_boxes = sent[1];
    const DeviceWindow window{window_.depth.axis, window_.map.y, window_.map.x};
    const Norm norm = norm_;
    float* out = WriteValues(context, call.y_boxes.rows(), d.channels);
    ForEachRow(stream, call.y_boxes.rows(), d.channels, [=] KRYPTON_DEVICE(int64_t row, int64_t first, int64_t step) {
      const PixelTaps taps(window, y_boxes.At(row));
      for (int64_t c = first; c < d.channels; c += step) {
        double before = 0.0, after = 0.0;
        taps.ForEach(x_boxes, [&](int64_t x_box, int64_t iy, int64_t ix, int64_t from) {
          const double x = x0.pixel(x_box, iy, ix)[c], base = norm.Power(x);
          before += base;
          after += from < 0 ? base : norm.Power(x + d.row(from)[c]);
        });
        out[row * d.channels + c] = limit(static_cast<float>(norm.Root(after) - norm.Root(before)));
      }
    });
  }

 private:
  PoolWindow window_;
  Norm norm_;
};

struct IncrementalAveragePool : CudaKernel<IncrementalAveragePool> {
  static constexpr const char* kName = "IncrementalAveragePool";
  using In = IncrementalAveragePoolInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit IncrementalAveragePool(const Ort::ConstKernelInfo& info)
      : CudaKernel(info),
        window_(ReadPoolWindow(info)),
        include_pad_(AttributeOr<int64_t>(info, "count_include_pad", 0) != 0) {}

  void Run(Ort::KernelContext& context, Stream stream) const {
    const PoolCall call = ReadAveragePoolCall(context, window_);
    const Values d = call.d;
    const DeviceLimit limit = ReadLimit(context, In::limit);
    const SentBoxes sent(stream, {&call.x_boxes, &call.y_boxes});
    const DeviceBoxes x_boxes = sent[0], y_boxes = sent[1];
    const DeviceWindow window{window_.depth.axis, window_.map.y, window_.map.x};
    const bool include_pad = include_pad_;
    float* out = WriteValues(context, call.y_boxes.rows(), d.channels);
    ForEachRow(stream, call.y_boxes.rows(), d.channels, [=] KRYPTON_DEVICE(int64_t row, int64_t first, int64_t step) {
      const Pixel at = y_boxes.At(row);
      const int64_t slice = window.Slice(at.box);
      const int64_t count =
          window.z.Count(slice, include_pad) * window.y.Count(at.y, include_pad) * window.x.Count(at.x, include_pad);
      const float scale = 1.0f / static_cast<float>(count);
      const Range taps_z = window.z.Taps(slice, 0, window.z.in);
      for (int64_t c = first; c < d.channels; c += step) {
        float y = 0.0f;
        for (int64_t kz = taps_z.lo; kz < taps_z.hi; ++kz) {
          const int64_t x_box = window.Source(at.box, kz);
          const Box box = x_boxes.boxes[x_box];
          if (box.empty()) continue;
          const Range taps_y = window.y.Taps(at.y, box.y0, box.y1()), taps_x = window.x.Taps(at.x, box.x0, box.x1());
          for (int64_t ky = taps_y.lo; ky < taps_y.hi; ++ky) {
            for (int64_t kx = taps_x.lo; kx < taps_x.hi; ++kx) {
              const int64_t from = x_boxes.RowOf(x_box, window.y.Input(at.y, ky), window.x.Input(at.x, kx));
              y += scale * d.row(from)[c];
            }
          }
        }
        out[row * d.channels + c] = limit(y);
      }
    });
  }

 private:
  PoolWindow window_;
  bool include_pad_;
};

struct IncrementalGlobalAveragePool : CudaKernel<IncrementalGlobalAveragePool> {
  static constexpr const char* kName = "IncrementalGlobalAveragePool";
  using In = IncrementalGlobalAveragePoolInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit IncrementalGlobalAveragePool(const Ort::ConstKernelInfo& info)
      : CudaKernel(info), map_(ReadMapShape(info)) {}

  void Run(Ort::KernelContext& context, Stream stream) const {
    const GlobalAverageCall call = ReadGlobalAverageCall(context, map_);
    const Values d = call.d;
    const SentBoxes sent(stream, {&call.boxes});
    const DeviceBoxes boxes = sent[0];
    const float scale = 1.0f / static_cast<float>(map_.pixels());
    const int64_t positions = call.boxes.count / map_.depth, depth = map_.depth;
    float* out = context.GetOutput(0, {positions, d.channels}).GetTensorMutableData<float>();
    ForEachRow(stream, positions, d.channels, [=] KRYPTON_DEVICE(int64_t position, int64_t first, int64_t step) {
      const int64_t begin = boxes.offsets[position * depth], end = boxes.offsets[(position + 1) * depth];
      for (int64_t c = first; c < d.channels; c += step) {
        float sum = 0.0f;
        for (int64_t row = begin; row < end; ++row) sum += scale * d.row(row)[c];
        out[position * d.channels + c] = sum;
      }
    });
  }

 private:
  VolumeShape map_;
};

struct IncrementalGlobalMaxPool : CudaKernel<IncrementalGlobalMaxPool> {
  static constexpr const char* kName = "IncrementalGlobalMaxPool";
  using In = IncrementalGlobalMaxPoolInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  using CudaKernel::CudaKernel;

  void Run(Ort::KernelContext& context, Stream stream) const {
    const DeltaOnBase call = ReadGlobalMaxCall(context);
    const BaseMap x0 = call.base;
    const Values d = call.d;
    const SentBoxes sent(stream, {&call.boxes});
    const DeviceBoxes boxes = sent[0];
    const int64_t positions = call.boxes.count / x0.depth, channels = d.channels;
    float* out = context.GetOutput(0, {positions, channels}).GetTensorMutableData<float>();
    ForEachRow(stream, positions, channels, [=] KRYPTON_DEVICE(int64_t position, int64_t first, int64_t step) {
      for (int64_t c = first; c < channels; c += step) {
        float base = -std::numeric_limits<float>::infinity(), moved = base;
        for (int64_t b = position * x0.depth; b < (position + 1) * x0.depth; ++b) {
          for (int64_t y = 0; y < x0.h; ++y) {
            for (int64_t x = 0; x < x0.w; ++x) {
              const float before = x0.pixel(b, y, x)[c];
              const int64_t from = boxes.RowOf(b, y, x);
              const float after = from < 0 ? before : before + d.row(from)[c];
              base = base < before ? before : base;
              moved = moved < after ? after : moved;
            }
          }
        }
        out[position * channels + c] = moved - base;
      }
    });
  }
};

}  // namespace

const OrtCustomOp* IncrementalAveragePoolOp() {
  static const CudaOp<IncrementalAveragePool> op;
  return &op;
}

const OrtCustomOp* IncrementalGlobalAveragePoolOp() {
  static const CudaOp<IncrementalGlobalAveragePool> op;
  return &op;
}

const OrtCustomOp* IncrementalGlobalMaxPoolOp() {
  static const CudaOp<IncrementalGlobalMaxPool> op;
  return &op;
}

const OrtCustomOp* IncrementalLpPoolOp() {
  static const CudaOp<IncrementalLpPool> op;
  return &op;
}

const OrtCustomOp* IncrementalMaxPoolOp() {
  static const CudaOp<IncrementalMaxPool> op;
  return &op;
}

}  // namespace krypton::cuda
