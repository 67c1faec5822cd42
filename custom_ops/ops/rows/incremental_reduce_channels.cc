// IncrementalReduceChannels: r(Z0 + DZ) - r(Z0) on each pixel's row of channels, one number a pixel.
#include "op/op.h"
#include "ops/ops.h"
#include "ops/rows/call.h"

namespace krypton {
namespace {

struct IncrementalReduceChannels : KernelBase<IncrementalReduceChannels> {
  static constexpr const char* kName = "IncrementalReduceChannels";
  using In = IncrementalReduceChannelsInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit IncrementalReduceChannels(const Ort::ConstKernelInfo& info)
      : KernelBase(info), reduction_(ReadReduction(info)) {}

  void Compute(Ort::KernelContext context) const {
    const DeltaOnBase input = ReadReduceChannelsCall(context);
    const int64_t channels = input.d.channels;
    const DeltaLimit limit(context, In::limit);
    float* out = WriteValues(context, input.d.rows, 1);
    ForEachPixel(context, input.boxes, [&](int64_t b, int64_t y, int64_t x, int64_t at) {
      out[at] = ReductionDelta(OneLane{}, reduction_, input.base.pixel(b, y, x), input.d.row(at), channels);
      limit.Flush(out + at, 1);
    });
  }

 private:
  Reduction reduction_;
};

}  // namespace

const OrtCustomOp* IncrementalReduceChannelsOp() {
  static const Op<IncrementalReduceChannels> op;
  return &op;
}

}  // namespace krypton
