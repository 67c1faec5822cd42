// IncrementalConcat: channels side by side, each input zero outside its own box.
// Inputs: y_boxes, the boxes of all parts one list after another, X1, X2, ...
#include <vector>

#include "op/op.h"
#include "op/parallel.h"
#include "ops/moves/call.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct IncrementalConcat : KernelBase<IncrementalConcat> {
  static constexpr const char* kName = "IncrementalConcat";
  using In = IncrementalConcatInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit IncrementalConcat(const Ort::ConstKernelInfo& info) : KernelBase(info) {}

  void Compute(Ort::KernelContext context) const {
    const ConcatCall call = ReadConcatCall(context);
    const int64_t channels = call.parts.channels;
    const BoxList& boxes = call.y_boxes;
    const PartGather gather(call.parts, GatherRule{});
    float* out = WriteValues(context, boxes.rows(), channels);
    ParallelRanges(context, boxes.count, 4, [&](int64_t begin, int64_t end) {
      std::vector<int64_t> rows;
      for (int64_t b = begin; b < end; ++b) {
        const Box& box = boxes[b];
        if (box.empty()) continue;  // it may be of any width
        for (int64_t x = static_cast<int64_t>(rows.size()); x < box.w; ++x) rows.push_back(x * channels);
        for (int64_t y = 0; y < box.h; ++y) {
          gather(b, box.y0 + y, box.x0, box.x1(), out + (boxes.offsets[b] + y * box.w) * channels, rows.data());
        }
      }
    });
  }
};

}  // namespace

const OrtCustomOp* IncrementalConcatOp() {
  static const Op<IncrementalConcat> op;
  return &op;
}

}  // namespace krypton
