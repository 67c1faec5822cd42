// IncrementalLpPool: DY = (sum over the taps inside the map of |X0 + DX|^p)^(1/p) - (the same of X0). Of volumes the
// window has a depth too.
#include <vector>

#include "op/op.h"
#include "op/parallel.h"
#include "ops/ops.h"
#include "ops/pool/call.h"

namespace krypton {
namespace {

struct IncrementalLpPool : KernelBase<IncrementalLpPool> {
  static constexpr const char* kName = "IncrementalLpPool";
  using In = IncrementalLpPoolInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit IncrementalLpPool(const Ort::ConstKernelInfo& info)
      : KernelBase(info), window_(ReadPoolWindow(info)), norm_(ReadNorm(info)) {}

  void Compute(Ort::KernelContext context) const {
    const PoolCall call = ReadLpPoolCall(context, window_);
    const BoxList &x_boxes = call.x_boxes, &y_boxes = call.y_boxes;
    const Values& d = call.d;
    const BaseMap& x0 = call.x0;
    const DeltaLimit limit(context, In::limit);
    float* out = WriteValues(context, y_boxes.rows(), d.channels);
    ForEachPixel(context, y_boxes, [&](int64_t b, int64_t oy, int64_t ox, int64_t row) {
      static thread_local std::vector<double> before, after;
      before.assign(static_cast<size_t>(d.channels), 0.0);
      after.assign(static_cast<size_t>(d.channels), 0.0);
      const Range taps_y = window_.map.y.Taps(oy, 0, x0.h), taps_x = window_.map.x.Taps(ox, 0, x0.w);
      const int64_t position = window_.depth.Position(b), slice = window_.depth.Slice(b);
      for (int64_t kz = window_.depth.taps[slice].lo; kz < window_.depth.taps[slice].hi; ++kz) {
        const int64_t x_box = window_.depth.Source(position, slice, kz);
        for (int64_t ky = taps_y.lo; ky < taps_y.hi; ++ky) {
          for (int64_t kx = taps_x.lo; kx < taps_x.hi; ++kx) {
            const int64_t iy = window_.map.y.Input(oy, ky), ix = window_.map.x.Input(ox, kx);
            const int64_t source = RowOf(x_boxes, x_box, iy, ix);
            Add(x0.pixel(x_box, iy, ix), source < 0 ? nullptr : d.row(source), d.channels, before.data(), after.data());
          }
        }
      }
      float* y = out + row * d.channels;
      for (int64_t c = 0; c < d.channels; ++c) y[c] = static_cast<float>(norm_.Root(after[c]) - norm_.Root(before[c]));
      limit.Flush(y, d.channels);
    });
  }

 private:
  void Add(const float* x0, const float* d, int64_t channels, double* before, double* after) const {
    for (int64_t c = 0; c < channels; ++c) {
      const double base = norm_.Power(x0[c]);
      before[c] += base;
      after[c] += d == nullptr ? base : norm_.Power(static_cast<double>(x0[c]) + d[c]);
    }
  }

  PoolWindow window_;
  Norm norm_;
};

}  // namespace

const OrtCustomOp* IncrementalLpPoolOp() {
  static const Op<IncrementalLpPool> op;
  return &op;
}

}  // namespace krypton
