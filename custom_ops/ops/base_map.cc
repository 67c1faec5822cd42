// BaseMap: the view of a base tensor, channels last, that the incremental ops read pixel rows of. The delta
// algebra breaks on Inf - Inf, so this is also where a NaN or Inf in image or network is refused.
#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <string>

#include "common/boxes.h"
#include "common/op.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct BaseMapKernel : KernelBase<BaseMapKernel> {
  static constexpr const char* kName = "BaseMap";
  static constexpr Slot kInputs[] = {kFloat}, kOutputs[] = {kFloat};

  explicit BaseMapKernel(const Ort::ConstKernelInfo& info)
      : KernelBase(info),
        layout_(RequiredAttribute<std::string>(info, "layout")),
        channels_first_(layout_.size() > 1 && layout_[1] == 'C'),
        tensor_name_(AttributeOr<std::string>(info, "tensor_name", "")) {}

  void Compute(Ort::KernelContext context) const {
    const Ort::ConstValue tensor = context.GetInput(0);
    const std::vector<int64_t> shape = tensor.GetTensorTypeAndShapeInfo().GetShape();
    if (shape.size() != layout_.size() || shape.size() < 3 || shape[0] != 1) {
      Fail("expected one image, a tensor of batch 1 in the order " + layout_ + "; found " + ShapeText(shape));
    }
    const auto first = shape.begin() + (channels_first_ ? 2 : 1), last = shape.end() - (channels_first_ ? 0 : 1);
    std::vector<int64_t> sizes(first, last);  // a signal is a picture of one row
    if (sizes.size() == 1) sizes.insert(sizes.begin(), 1);
    const int64_t channels = channels_first_ ? shape[1] : shape.back();
    const int64_t pixels = std::accumulate(sizes.begin(), sizes.end(), int64_t{1}, std::multiplies<>());
    sizes.push_back(channels);
    const float* source = tensor.GetTensorData<float>();
    CheckFinite(source, pixels * channels);
    float* map = context.GetOutput(0, sizes).GetTensorMutableData<float>();
    if (!channels_first_) {
      std::copy(source, source + pixels * channels, map);
      return;
    }
    constexpr int64_t kBlock = 16;  // a block of both sides stays in L1
    ParallelRanges(context, pixels, 1024, [&](int64_t begin, int64_t end) {
      for (int64_t p0 = begin; p0 < end; p0 += kBlock) {
        const int64_t p1 = std::min(p0 + kBlock, end);
        for (int64_t c0 = 0; c0 < channels; c0 += kBlock) {
          const int64_t c1 = std::min(c0 + kBlock, channels);
          for (int64_t p = p0; p < p1; ++p) {
            for (int64_t c = c0; c < c1; ++c) map[p * channels + c] = source[c * pixels + p];
          }
        }
      }
    });
  }

 private:
  void CheckFinite(const float* data, int64_t count) const {
    bool finite = true;
    for (int64_t i = 0; i < count; ++i) finite &= std::fabs(data[i]) <= 3.4028235e38f;
    if (!finite) {
      Fail("tensor '" + tensor_name_ + "' holds a NaN or an infinity for this image; incremental inference needs " +
           "finite numbers. Check the image and its preprocessing.");
    }
  }

  std::string layout_;
  bool channels_first_;
  std::string tensor_name_;
};

}  // namespace

const OrtCustomOp* BaseMapOp() {
  static const Op<BaseMapKernel> op;
  return &op;
}

}  // namespace krypton
