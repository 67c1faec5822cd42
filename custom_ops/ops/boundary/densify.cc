// Densify: T0 + D as full maps, for the ops that have no incremental rule; with `of` = "values" the rows are T'.
#include <algorithm>
#include <string>

#include "op/op.h"
#include "op/parallel.h"
#include "ops/boundary/call.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct Densify : KernelBase<Densify> {
  static constexpr const char* kName = "Densify";
  using In = DensifyInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit Densify(const Ort::ConstKernelInfo& info)
      : KernelBase(info), layout_(RequiredAttribute<std::string>(info, "layout")), of_values_(ReadOfValues(info)) {}

  void Compute(Ort::KernelContext context) const {
    const DeltaOnBase call = ReadDensifyCall(context);
    const BaseMap& t = call.base;
    const BoxList& boxes = call.boxes;
    const Values& d = call.d;
    const int64_t channels = d.channels, pixels = t.h * t.w, all = t.depth * pixels;
    const bool channels_first = ChannelsFirst(layout_);
    float* out = context.GetOutput(0, DenseShape(layout_, boxes.count / t.depth, t)).GetTensorMutableData<float>();
    const int64_t pixel_step = channels_first ? 1 : channels, channel_step = channels_first ? all : 1;
    ParallelRanges(context, boxes.count, 1, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        const int64_t slice = b % t.depth;
        float* map = out + b / t.depth * all * channels + slice * pixels * pixel_step;
        for (int64_t p = 0; p < pixels; ++p) {
          const float* source = t.data + (slice * pixels + p) * channels;
          for (int64_t c = 0; c < channels; ++c) map[p * pixel_step + c * channel_step] = source[c];
        }
        const Box& box = boxes[b];
        int64_t row = boxes.offsets[b];
        for (int64_t y = box.y0; y < box.y1() && !box.empty(); ++y) {
          for (int64_t x = box.x0; x < box.x1(); ++x, ++row) {
            float* pixel = map + (y * t.w + x) * pixel_step;
            const float* moved = d.row(row);
            for (int64_t c = 0; c < channels; ++c) {
              float& entry = pixel[c * channel_step];
              entry = of_values_ ? moved[c] : entry + moved[c];
            }
          }
        }
      }
    });
  }

 private:
  std::string layout_;
  bool of_values_;
};

}  // namespace

const OrtCustomOp* DensifyOp() {
  static const Op<Densify> op;
  return &op;
}

}  // namespace krypton
