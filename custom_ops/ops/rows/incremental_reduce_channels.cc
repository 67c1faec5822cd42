// IncrementalReduceChannels: r(Z0 + DZ) - r(Z0) on each pixel's row of channels, one number a pixel.
#include <string>

#include "math/row_functions.h"
#include "op/pointwise.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct IncrementalReduceChannels : KernelBase<IncrementalReduceChannels> {
  static constexpr const char* kName = "IncrementalReduceChannels";
  static constexpr Slot kInputs[] = {kFloat, kInt32, kFloat, kFloatOptional}, kOutputs[] = {kFloat};

  explicit IncrementalReduceChannels(const Ort::ConstKernelInfo& info)
      : KernelBase(info), reduction_(FindReduction(RequiredAttribute<std::string>(info, "function"))) {}

  void Compute(Ort::KernelContext context) const {
    const Pointwise input = ReadPointwise(context);
    const int64_t channels = input.d.channels;
    if (channels == 0) Fail("X: expected channels");
    const DeltaLimit limit(context, 3);
    float* out = WriteValues(context, 0, input.d.rows, 1);
    ForEachPixel(context, input.boxes, [&](int64_t b, int64_t y, int64_t x, int64_t at) {
      out[at] = ReductionDelta(OneLane{}, reduction_, input.z.pixel(b, y, x), input.d.row(at), channels);
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
