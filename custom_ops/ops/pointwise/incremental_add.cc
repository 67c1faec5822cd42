// IncrementalAdd: Y = A + beta * B, each delta zero outside its own box (Add, Sub, a residual).
#include <algorithm>

#include "kernels/table.h"
#include "op/op.h"
#include "op/parallel.h"
#include "ops/ops.h"
#include "ops/pointwise/call.h"

namespace krypton {
namespace {

struct IncrementalAdd : KernelBase<IncrementalAdd> {
  static constexpr const char* kName = "IncrementalAdd";
  using In = IncrementalAddInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit IncrementalAdd(const Ort::ConstKernelInfo& info)
      : KernelBase(info), beta_(AttributeOr<float>(info, "beta", 1.0f)) {}

  void Compute(Ort::KernelContext context) const {
    const AddCall call = ReadAddCall(context);
    const Values &a = call.a, &b = call.b;
    const DeltaLimit limit(context, In::limit);
    const int64_t channels = a.channels;
    float* out = WriteValues(context, call.y_boxes.rows(), channels);
    ForEachPixel(context, call.y_boxes, [&](int64_t p, int64_t py, int64_t px, int64_t row) {
      float* y = out + row * channels;
      const int64_t from_a = RowOf(call.a_boxes, p, py, px), from_b = RowOf(call.b_boxes, p, py, px);
      if (from_a < 0) {
        std::fill_n(y, channels, 0.0f);
      } else {
        std::copy_n(a.row(from_a), channels, y);
      }
      if (from_b >= 0) ActiveKernels().add_scaled_row(y, b.row(from_b), beta_, channels);
      limit.Flush(y, channels);
    });
  }

 private:
  float beta_;
};

}  // namespace

const OrtCustomOp* IncrementalAddOp() {
  static const Op<IncrementalAdd> op;
  return &op;
}

}  // namespace krypton
