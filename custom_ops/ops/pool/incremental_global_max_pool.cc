// IncrementalGlobalMaxPool: the largest entry of X0 + DX for each channel, less that of X0: over the box what the delta
// makes of it, beside the box the base map.
#include <algorithm>
#include <limits>
#include <vector>

#include "op/op.h"
#include "ops/ops.h"
#include "ops/pool/call.h"

namespace krypton {
namespace {

struct IncrementalGlobalMaxPool : KernelBase<IncrementalGlobalMaxPool> {
  static constexpr const char* kName = "IncrementalGlobalMaxPool";
  using In = IncrementalGlobalMaxPoolInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  using KernelBase::KernelBase;

  void Compute(Ort::KernelContext context) const {
    const DeltaOnBase call = ReadGlobalMaxCall(context);
    const BaseMap& x0 = call.base;
    const BoxList& boxes = call.boxes;
    const Values& d = call.d;
    const int64_t channels = d.channels, positions = boxes.count / x0.depth;
    float* out = context.GetOutput(0, {positions, channels}).GetTensorMutableData<float>();
    std::vector<float> base = Nothing(channels);
    for (int64_t z = 0; z < x0.depth; ++z) Raise(base, x0, z, {0, 0, 0, 0}, nullptr);
    ParallelRanges(context, positions, 1, [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) {
        std::vector<float> moved = Nothing(channels);
        for (int64_t b = p * x0.depth; b < (p + 1) * x0.depth; ++b) {
          Raise(moved, x0, b, boxes[b], d.row(boxes.offsets[b]));
        }
        for (int64_t c = 0; c < channels; ++c) out[p * channels + c] = moved[c] - base[c];
      }
    });
  }

 private:
  static std::vector<float> Nothing(int64_t channels) {
    return std::vector<float>(static_cast<size_t>(channels), -std::numeric_limits<float>::infinity());
  }

  // Raises `top` by the base map below box b, with `d` added on the box.
  static void Raise(std::vector<float>& top, const BaseMap& x0, int64_t b, const Box& box, const float* d) {
    for (int64_t y = 0; y < x0.h; ++y) {
      for (int64_t x = 0; x < x0.w; ++x) {
        const float* base = x0.pixel(b, y, x);
        if (y >= box.y0 && y < box.y1() && x >= box.x0 && x < box.x1()) {
          for (int64_t c = 0; c < x0.channels; ++c) top[c] = std::max(top[c], base[c] + d[c]);
          d += x0.channels;
        } else {
          for (int64_t c = 0; c < x0.channels; ++c) top[c] = std::max(top[c], base[c]);
        }
      }
    }
  }
};

}  // namespace

const OrtCustomOp* IncrementalGlobalMaxPoolOp() {
  static const Op<IncrementalGlobalMaxPool> op;
  return &op;
}

}  // namespace krypton
