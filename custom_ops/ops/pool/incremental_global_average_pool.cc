// IncrementalGlobalAveragePool: DY = sum of DX over the box / (H * W); [B, C]. Also ReduceMean over H, W.
// A volume's sum runs over the rows of all slices of a position, which follow each other.
#include <algorithm>

#include "kernels/table.h"
#include "op/op.h"
#include "ops/ops.h"
#include "ops/pool/call.h"

namespace krypton {
namespace {

struct IncrementalGlobalAveragePool : KernelBase<IncrementalGlobalAveragePool> {
  static constexpr const char* kName = "IncrementalGlobalAveragePool";
  using In = IncrementalGlobalAveragePoolInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit IncrementalGlobalAveragePool(const Ort::ConstKernelInfo& info)
      : KernelBase(info), map_(ReadMapShape(info)) {}

  void Compute(Ort::KernelContext context) const {
    const GlobalAverageCall call = ReadGlobalAverageCall(context, map_);
    const BoxList& boxes = call.boxes;
    const Values& d = call.d;
    const float scale = 1.0f / static_cast<float>(map_.pixels());
    const int64_t positions = boxes.count / map_.depth;
    float* out = context.GetOutput(0, {positions, d.channels}).GetTensorMutableData<float>();
    ParallelRanges(context, positions, 4, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        float* y = out + b * d.channels;
        std::fill_n(y, d.channels, 0.0f);
        for (int64_t r = boxes.offsets[b * map_.depth]; r < boxes.offsets[(b + 1) * map_.depth]; ++r) {
          ActiveKernels().add_scaled_row(y, d.row(r), scale, d.channels);
        }
      }
    });
  }

 private:
  VolumeShape map_;
};

}  // namespace

const OrtCustomOp* IncrementalGlobalAveragePoolOp() {
  static const Op<IncrementalGlobalAveragePool> op;
  return &op;
}

}  // namespace krypton
