// IncrementalGlobalAveragePool: DY = sum of DX over the box / (H * W); [B, C]. Also ReduceMean over H, W.
#include <algorithm>

#include "common/boxes.h"
#include "common/op.h"
#include "kernels/kernels.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct IncrementalGlobalAveragePool : KernelBase<IncrementalGlobalAveragePool> {
  static constexpr const char* kName = "IncrementalGlobalAveragePool";
  static constexpr Slot kInputs[] = {kFloat, kInt32}, kOutputs[] = {kFloat};

  explicit IncrementalGlobalAveragePool(const Ort::ConstKernelInfo& info)
      : KernelBase(info), shape_(AttributeList<int64_t>(info, "input_shape", 2)) {}

  void Compute(Ort::KernelContext context) const {
    const BoxList boxes = ReadBoxes(context, 1, "boxes", {shape_[0], shape_[1]});
    const Values d = ReadValues(context, 0, "X", boxes);
    const float scale = 1.0f / static_cast<float>(shape_[0] * shape_[1]);
    float* out = context.GetOutput(0, {boxes.count, d.channels}).GetTensorMutableData<float>();
    ParallelRanges(context, boxes.count, 4, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        float* y = out + b * d.channels;
        std::fill_n(y, d.channels, 0.0f);
        for (int64_t r = boxes.offsets[b]; r < boxes.offsets[b + 1]; ++r) {
          ActiveKernels().add_scaled_row(y, d.row(r), scale, d.channels);
        }
      }
    });
  }

 private:
  std::vector<int64_t> shape_;
};

}  // namespace

const OrtCustomOp* IncrementalGlobalAveragePoolOp() {
  static const Op<IncrementalGlobalAveragePool> op;
  return &op;
}

}  // namespace krypton
